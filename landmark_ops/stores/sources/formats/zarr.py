"""Zarr v2 and v3: an array, one of a group, or a sparse matrix as anndata stores it."""

from __future__ import annotations

from landmark_ops.stores.sources.format import SOURCES, Options, Place, SourceFormat
from landmark_ops.stores.sources.rows import Rows


class ZarrFormat(SourceFormat):
    """A folder with a metadata document."""

    name = "zarr"
    title = "a Zarr store"
    order = 10
    marks = ("zarr.json", ".zarray", ".zgroup")
    options = ("array", "missing_chunks")

    def lies_at(self, place: Place) -> bool:
        """By the metadata document of either version."""
        return any(place.has_file(name) for name in self.marks)

    def open_rows(self, uri: str, options: Options) -> Rows:
        """The array that is named, or the only one that could be rows."""
        from landmark_ops.stores.sources.zarr_sparse import open_zarr

        return open_zarr(uri, options.array, missing_chunks=options.missing_chunks)

    def open_values(self, uri: str, options: Options) -> Rows:
        """An array (n,) or (n, 1)."""
        from landmark_ops.stores.sources.zarr_sparse import open_zarr

        return open_zarr(uri, options.array, missing_chunks=options.missing_chunks, values=True)


SOURCES.register(ZarrFormat())

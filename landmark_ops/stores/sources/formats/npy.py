"""One array in a .npy file."""

from __future__ import annotations

from landmark_ops.stores.sources.format import SOURCES, Options, Place, SourceFormat
from landmark_ops.stores.sources.rows import Rows


class NpyFormat(SourceFormat):
    """A file, as numpy.save writes it."""

    name = "npy"
    title = "a .npy file"
    order = 30
    suffixes = (".npy",)

    def lies_at(self, place: Place) -> bool:
        """By the file's name."""
        return place.has_suffix(self.suffixes)

    def open_rows(self, uri: str, options: Options) -> Rows:
        """The whole array, axes after the first flattened."""
        from landmark_ops.stores.sources.npy_rows import NpyRows

        return NpyRows(uri)

    def open_values(self, uri: str, options: Options) -> Rows:
        """An array (n,) or (n, 1)."""
        from landmark_ops.stores.sources.npy_rows import NpyRows

        return NpyRows(uri, values=True)


SOURCES.register(NpyFormat())

"""A sparse matrix in a Zarr group as dense rows: CSR as anndata writes it, the arrays data, indices and indptr.

Only the rows that are asked for become dense. Refuses CSC, in which the entries of one row are scattered.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from landmark_ops.errors import InputError, RunError, Word
from landmark_ops.stores import locations
from landmark_ops.stores.sources import zarr_meta
from landmark_ops.stores.sources.format import MissingChunks
from landmark_ops.stores.sources.rows import Rows, check_range, check_shape_and_dtype
from landmark_ops.stores.sources.zarr_rows import ZarrRows

PARTS = ("data", "indices", "indptr")


def open_zarr(uri: str, array: str | None, *, missing_chunks: MissingChunks, values: bool = False) -> Rows:
    """The array, or the sparse matrix, meant by the address of a store and a name in it; see `ZarrRows`.

    Raises InputError for a part of a sparse matrix.
    """
    with locations.opening(uri):
        found, document = zarr_meta.find_array(uri, array)
        folder, name = locations.parent_and_name(found)
        beside = zarr_meta.read_document(folder) if name in PARTS and folder else None
    if beside and (sparse := zarr_meta.sparse_of(beside)):
        whole = (array or "").removesuffix(name).rstrip("/")
        remedy = f"set {Word.ARRAY} to {whole!r}" if whole else f"open {folder}"
        raise InputError(f"{found}: is a part of the sparse {sparse.format} matrix {folder}: {remedy}")
    if sparse := zarr_meta.sparse_of(document):
        return SparseRows(found, sparse, missing_chunks=missing_chunks)
    return ZarrRows(found, missing_chunks=missing_chunks, values=values)


class SparseRows(Rows):
    """The rows of a CSR matrix of shape (n, d). Entries of one place are added, as scipy does."""

    def __init__(self, uri: str, sparse: zarr_meta.Sparse, *, missing_chunks: MissingChunks = "error") -> None:
        if sparse.format != "csr":
            raise InputError(
                f"{uri}: is a sparse {sparse.format} matrix of {sparse.shape[0]} x {sparse.shape[1]}, whose rows lie "
                "scattered: store X.tocsr(), or X.toarray()"
            )
        self.uri = uri
        self.n, self.d = sparse.shape
        self._data, self._indices, self._indptr = (
            ZarrRows(uri, name, missing_chunks=missing_chunks, values=True) for name in PARTS
        )
        lengths = self._data.n, self._indices.n, self._indptr.n
        integers = self._indices.dtype.kind + self._indptr.dtype.kind
        if lengths[0] != lengths[1] or lengths[2] != self.n + 1 or set(integers) - set("iu"):
            raise InputError(
                f"{uri}: its data, indices and indptr of {lengths} numbers are no csr matrix of {self.n} x {self.d}: "
                "it is damaged, write it anew"
            )
        self.dtype = self._data.dtype
        check_shape_and_dtype((self.n, self.d), self.dtype, uri)
        self.row_shape = (self.d,)
        self.chunk_rows = max(1, round(self.n * self._data.chunk_rows / self._data.n))

    def read(self, start: int, stop: int) -> NDArray[Any]:
        """Rows start..stop, zeros where nothing is stored. RunError where the three arrays do not fit each other."""
        check_range(start, stop, self.n, self.uri)
        bounds = self._indptr.read(start, stop + 1)[:, 0].astype(np.int64)
        first, after = int(bounds[0]), int(bounds[-1])
        if (np.diff(bounds) < 0).any() or first < 0 or after > self._data.n:
            raise self._damaged(start, stop)
        out = np.zeros((stop - start, self.d), self.dtype)
        if after > first:
            columns = self._indices.read(first, after)[:, 0].astype(np.int64)
            if columns.min() < 0 or columns.max() >= self.d:
                raise self._damaged(start, stop)
            places = np.repeat(np.arange(stop - start) * self.d, np.diff(bounds)) + columns
            entries = self._data.read(first, after)[:, 0]
            if (np.diff(places) > 0).all():
                out.reshape(-1)[places] = entries
            else:  # not in order, and so perhaps one place twice
                np.add.at(out.reshape(-1), places, entries)
        return out

    def _damaged(self, start: int, stop: int) -> RunError:
        return RunError(
            f"{self.uri}: rows {start}..{stop}: its data, indices and indptr do not fit each other: it is damaged, "
            "write it anew"
        )

    def fingerprint(self) -> str:
        """sha256 of the shape, of the metadata and of the listing of all three arrays."""
        parts: Sequence[ZarrRows] = (self._data, self._indices, self._indptr)
        described = json.dumps([self.n, self.d, *(part.fingerprint() for part in parts)])
        return locations.digest(described, [])

"""A source opened as rows: one abstraction over Zarr, .npy, Parquet, Delta and in-memory arrays.

First box of the flow: everything downstream sees n rows of d numbers and reads them by global row index.
`Rows` objects are small and picklable: they carry an address, never data (except `ArrayRows`), and open lazily.
A source decides nothing about methods; it refuses what cannot be read faithfully.
"""

from __future__ import annotations

import hashlib
import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from landmark_ops.errors import InputError

EXACT_INTEGERS = 2**53


class Rows(ABC):
    """n rows of d numbers, readable by global row index.

    Attributes
    ----------
    uri
        Where the rows come from, for messages and provenance; `<memory>` for arrays.
    n, d
        Number of rows, and of features per row (the product of all axes but the first).
    dtype
        The stored element type, native byte order.
    row_shape
        Shape of one stored row: `(d,)`, or e.g. `(8, 8, 3)` for arrays of more than two dimensions, flattened
        in C order.
    chunk_rows
        Rows that are stored, and so are best read, together; 1 where any range reads equally well.
    rounds
        Whether what is read is computed in float64, so that 64-bit integers it would round are refused; targets are
        not: classes of any integer stay what they are.
    version
        Which version of a Delta table the rows are; None of formats without versions.
    """

    uri: str
    n: int
    d: int
    dtype: np.dtype[Any]
    row_shape: tuple[int, ...]
    chunk_rows: int
    rounds: bool = True
    version: int | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """(n, d)."""
        return self.n, self.d

    @property
    def nbytes(self) -> int:
        """Bytes of all rows once decoded."""
        return self.n * self.d * self.dtype.itemsize

    @property
    def named(self) -> str:
        """Where the rows come from, and what of it reads as NaN without being one: for messages about bad rows."""
        return self.uri

    @property
    def places(self) -> list[str]:
        """Addresses of the files or folders that hold the rows: writing elsewhere does not change them."""
        return [self.uri]

    @abstractmethod
    def read(self, start: int, stop: int) -> NDArray[Any]:
        """Rows start..stop as a C-contiguous (stop - start, d) array of the stored dtype, native byte order.

        Raises `RunError` (naming the chunk or file) where stored data is missing or cannot be decoded.
        """

    @abstractmethod
    def fingerprint(self) -> str:
        """A hex digest that changes when the source changes (metadata, object names, sizes and versions)."""

    def take(self, indices: NDArray[np.int64]) -> NDArray[Any]:
        """The rows at `indices` (any order, repeats allowed), (len(indices), d), each storage chunk read once."""
        out = np.empty((len(indices), self.d), self.dtype)
        order = np.argsort(indices, kind="stable")
        step = max(self.chunk_rows, 1)
        at = 0
        while at < len(order):
            start = int(indices[order[at]]) // step * step
            stop = min(start + step, self.n)
            end = at + int(np.searchsorted(indices[order[at:]], stop, side="left"))
            members = order[at:end]
            low, high = int(indices[members[0]]), int(indices[members[-1]]) + 1
            out[members] = self.read(low, high)[indices[members] - low]
            at = end
        return out

    def describe(self) -> str:
        """One line for people: where, how many rows, of what."""
        shape = " x ".join(str(s) for s in self.row_shape)
        flat = "" if len(self.row_shape) == 1 else f" (flattened to {self.d} features)"
        version = "" if self.version is None else f", version {self.version}"
        return f"{self.uri}: {self.n:,} rows of {shape} {self.dtype.name}{flat}{version}"


class ArrayRows(Rows):
    """An in-memory array of shape (n, ...) as rows."""

    def __init__(self, array: NDArray[Any], uri: str = "<memory>") -> None:
        check_shape_and_dtype(array.shape, array.dtype, uri)
        self._array = array
        self.uri = uri
        self.n, self.d = array.shape[0], math.prod(array.shape[1:])
        self.row_shape = tuple(array.shape[1:])
        self.dtype = array.dtype.newbyteorder("=")
        self.chunk_rows = 1

    def read(self, start: int, stop: int) -> NDArray[Any]:
        """Rows start..stop; a view where the array already is C-contiguous and native."""
        block = self._array[start:stop].reshape(stop - start, self.d)
        if self.rounds:
            check_exact(block, self.uri, start, self.d)
        return np.ascontiguousarray(block, dtype=self.dtype)

    def take(self, indices: NDArray[np.int64]) -> NDArray[Any]:
        """The rows at `indices`, copied."""
        return np.ascontiguousarray(self._array[indices].reshape(len(indices), self.d), dtype=self.dtype)

    def fingerprint(self) -> str:
        """sha256 of dtype, shape and content."""
        digest = hashlib.sha256(f"{self.dtype.str}{self._array.shape}".encode())
        digest.update(np.ascontiguousarray(self._array).data)
        return digest.hexdigest()


def check_shape_and_dtype(shape: Sequence[int], dtype: np.dtype[Any], uri: str, values: bool = False) -> None:
    """Refuse what cannot be rows of numbers: no second axis, zero rows or features, non-numeric elements.

    `values`: one number per row is what is wanted, so that an array of shape (n,) will do.

    Raises InputError for them.
    """
    if len(shape) < 2 - values:
        raise InputError(
            f"{uri}: has {len(shape)} dimension(s), rows need at least 2: give it the shape (n, d), "
            "e.g. array.reshape(-1, 1)"
        )
    if shape[0] == 0:
        raise InputError(f"{uri}: holds 0 rows, at least 1 is needed: check that the source was written")
    if math.prod(shape[1:]) == 0:
        raise InputError(f"{uri}: rows of shape {tuple(shape[1:])} hold 0 features, at least 1 is needed")
    if not (dtype.kind in "iub" or (dtype.kind == "f" and dtype.itemsize in (2, 4, 8))):
        raise InputError(f"{uri}: elements are {dtype}, rows must be float16/32/64 or integers: convert the source")


def check_exact(values: NDArray[Any], where: str, first_row: int, per_row: int) -> None:
    """Refuse 64-bit integers that float64, in which they are computed, would round. `per_row` of them make up a row.

    Raises `InputError` naming the first such row. Costs nothing for other types, two passes over the values for these.
    """
    if values.dtype.kind not in "iu" or values.dtype.itemsize < 8 or not values.size:
        return
    if values.max() <= EXACT_INTEGERS and values.min() >= -EXACT_INTEGERS:
        return
    with np.errstate(invalid="ignore"):  # the largest round up to 2^63, which casts back to something else
        rounded = values.astype(np.float64).astype(values.dtype) != values
    if rounded.any():
        row = first_row + int(np.argmax(rounded)) // per_row
        raise InputError(
            f"{where}, row {row}: holds an integer beyond 2^53 that float64, in which rows are computed, would "
            "round: subtract an offset, or store float64 if rounding is meant"
        )


def check_range(start: int, stop: int, n: int, uri: str) -> None:
    """Refuse a row range outside 0..n: a mistake of the caller, never silently shortened as a slice would be."""
    if not 0 <= start <= stop <= n:
        raise ValueError(f"{uri}: rows {start}..{stop} were asked for, there are rows 0..{n}")

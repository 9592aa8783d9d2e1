"""A .npy file as rows: local or on S3.

Rows are copied out of the file by positional reads. The file is not kept mapped, on purpose: pages of a mapping count
as memory of the process, so a sweep over a mapped file larger than the memory limit makes Dask pause and then kill the
worker, and a mapped file that is truncated meanwhile kills it with SIGBUS. The price is small: 408 MB from the page
cache took 27 to 40 ms by reads, 21 to 24 ms copied out of a mapping. Refuses pickled objects, structured types,
truncated files and, on S3, Fortran order, where one row would be d requests.
"""

from __future__ import annotations

import io
import math
import os
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from landmark_ops.errors import InputError, RunError
from landmark_ops.stores import locations
from landmark_ops.stores.sources.rows import Rows, check_exact, check_range, check_shape_and_dtype

HEADER_BYTES = 65_536  # NumPy writes 128; its own limit for a header parsed without trust is 10,000


class Header(NamedTuple):
    """The header of a .npy file: `offset` is where the numbers begin, in bytes."""

    shape: tuple[int, ...]
    fortran: bool
    dtype: np.dtype[Any]
    offset: int


class NpyRows(Rows):
    """An array of shape (n, ...) in a .npy file, C or Fortran order, either byte order."""

    def __init__(self, uri: str | os.PathLike[str], *, values: bool = False) -> None:
        self.uri = locations.normalise(uri)
        with locations.opening(self.uri):
            self._size = locations.stat(self.uri).size
            self._header = read_header(locations.read_bytes(self.uri, 0, min(HEADER_BYTES, self._size)), self.uri)
        shape, fortran, stored, offset = self._header
        check_shape_and_dtype(shape, stored, self.uri, values)
        expected = offset + math.prod(shape) * stored.itemsize
        if self._size < expected:
            raise InputError(
                f"{self.uri}: truncated, expected {expected} bytes for shape {shape} {stored}, found {self._size}: "
                "write or copy the file again"
            )
        if self._size > expected:
            raise InputError(
                f"{self.uri}: holds {self._size - expected} bytes after its array of shape {shape}: save arrays into "
                "a file each, or write this one again"
            )
        if fortran and locations.is_remote(self.uri):
            raise InputError(
                f"{self.uri}: is in Fortran order, so that one row lies in {math.prod(shape[1:])} places: save it with "
                "np.save(path, np.ascontiguousarray(x)), or read it from a local disk"
            )
        self.n, self.d = shape[0], math.prod(shape[1:])
        self.row_shape = tuple(shape[1:])
        self.dtype = stored.newbyteorder("=")
        self.chunk_rows = 1
        self._row_bytes = self.d * stored.itemsize

    def read(self, start: int, stop: int) -> NDArray[Any]:
        """Rows start..stop; `RunError` where the file has become shorter than its header says."""
        check_range(start, stop, self.n, self.uri)
        block = self._read(start, stop)
        if self.rounds:
            check_exact(block, self.uri, start, self.d)
        return block

    def _read(self, start: int, stop: int) -> NDArray[Any]:
        if self._header.fortran:
            return self._copy_mapped(slice(start, stop), stop - start)
        count = (stop - start) * self.d
        where = self._header.offset + start * self._row_bytes
        if locations.is_remote(self.uri):
            data = locations.read_bytes(self.uri, where, where + (stop - start) * self._row_bytes) if count else b""
            whole = len(data) // self._header.dtype.itemsize
            flat = np.frombuffer(data, self._header.dtype, whole)
        else:
            flat = np.fromfile(self.uri, self._header.dtype, count, offset=where)
        if flat.size != count:
            raise RunError(
                f"{self.uri}: rows {start}..{stop} should hold {count} numbers, found {flat.size}: the file was "
                "truncated since it was opened; restore it and run again"
            )
        return np.ascontiguousarray(flat.reshape(stop - start, self.d), self.dtype)

    def take(self, indices: NDArray[np.int64]) -> NDArray[Any]:
        """The rows at `indices`: a gather from a short-lived mapping locally, concurrent range requests on S3."""
        if not locations.is_remote(self.uri):
            return self._copy_mapped(indices, len(indices))
        fs, path = locations.filesystem(self.uri)
        starts = [self._header.offset + int(i) * self._row_bytes for i in indices]
        parts = fs.cat_ranges([path] * len(starts), starts, [at + self._row_bytes for at in starts])
        flat = np.frombuffer(b"".join(parts), self._header.dtype)
        return np.ascontiguousarray(flat.reshape(len(indices), self.d), self.dtype)

    def _copy_mapped(self, rows: slice | NDArray[np.int64], count: int) -> NDArray[Any]:
        shape, fortran, stored, offset = self._header
        found = os.stat(self.uri).st_size
        if found < self._size:
            raise RunError(
                f"{self.uri}: held {self._size} bytes when it was opened, now {found}: the file was truncated; "
                "restore it and run again"
            )
        mapped = np.memmap(self.uri, stored, "r", offset, shape, "F" if fortran else "C")
        out = np.empty((count, *self.row_shape), self.dtype)
        out[...] = mapped[rows]
        return out.reshape(count, self.d)

    def fingerprint(self) -> str:
        """sha256 of the header and of the file's size and version."""
        with locations.opening(self.uri):
            return locations.digest(repr(self._header), [locations.stat(self.uri)])


def read_header(head: bytes, uri: str) -> Header:
    """Parse the first bytes of a .npy file without evaluating anything; `uri` is for the message only.

    Raises InputError for what is no such file, or holds no numbers.
    """
    file = io.BytesIO(head)
    try:
        version = np.lib.format.read_magic(file)
        if version == (1, 0):
            shape, fortran, dtype = np.lib.format.read_array_header_1_0(file)
        elif version in ((2, 0), (3, 0)):  # which differ in field names beyond latin-1: refused with their types
            shape, fortran, dtype = np.lib.format.read_array_header_2_0(file)
        else:
            raise ValueError(f"its format version {version} is not known")
    except ValueError as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{uri}: not a .npy file of numbers ({reason}): write it with numpy.save") from error
    return Header(tuple(shape), bool(fortran), np.dtype(dtype), file.tell())

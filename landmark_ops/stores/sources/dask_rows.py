"""A Dask array as rows: each read computes one slice with whatever scheduler is active.

For estimators that are handed a lazy array. A run over a source in storage should name the source instead: then each
worker reads its own chunk and no graph is shipped.
"""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import dask.array as da
import numpy as np
from dask.base import tokenize
from numpy.typing import NDArray

from landmark_ops.errors import InputError
from landmark_ops.stores.sources.rows import Rows, check_exact, check_range, check_shape_and_dtype


class DaskRows(Rows):
    """A Dask array of shape (n, ...); axes after the first are flattened in C order."""

    def __init__(self, array: da.Array, uri: str = "<dask array>") -> None:
        if any(math.isnan(size) for size in array.shape):
            raise InputError(
                f"{uri}: shape {array.shape} is not known before it is computed: call array.compute_chunk_sizes() first"
            )
        check_shape_and_dtype(array.shape, array.dtype, uri)
        self._array = array
        self._check_block(array._meta, uri)
        self.uri = uri
        self.n, self.d = int(array.shape[0]), math.prod(array.shape[1:])
        self.row_shape = tuple(int(size) for size in array.shape[1:])
        self.dtype = array.dtype.newbyteorder("=")
        self.chunk_rows = Counter(array.chunks[0]).most_common(1)[0][0]

    def read(self, start: int, stop: int) -> NDArray[Any]:
        """Rows start..stop, computed."""
        check_range(start, stop, self.n, self.uri)
        block = self._compute(self._array[start:stop], stop - start)
        if self.rounds:
            check_exact(block, self.uri, start, self.d)
        return block

    def take(self, indices: NDArray[np.int64]) -> NDArray[Any]:
        """The rows at `indices`, in one computation."""
        return self._compute(self._array[np.asarray(indices)], len(indices))

    def _compute(self, lazy: da.Array, count: int) -> NDArray[Any]:
        block = lazy.compute()
        self._check_block(block, self.uri)
        return np.ascontiguousarray(block.reshape(count, self.d), self.dtype)

    @staticmethod
    def _check_block(block: Any, uri: str) -> None:
        """Refuse blocks that are more than their numbers: np.asarray would drop a mask."""
        if isinstance(block, np.ma.MaskedArray):
            raise InputError(
                f"{uri}: its blocks are masked arrays, masks are not supported: pass dask.array.ma.filled(x, numpy.nan)"
            )
        if not isinstance(block, np.ndarray):
            raise InputError(
                f"{uri}: its blocks are {type(block).__module__}.{type(block).__name__}, not ndarrays: convert them, "
                "with array.map_blocks"
            )

    def fingerprint(self) -> str:
        """Dask's own token of the graph: the same for arrays built the same way from the same data."""
        return str(tokenize(self._array))

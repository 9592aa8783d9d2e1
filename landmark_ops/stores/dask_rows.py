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
from landmark_ops.stores.rows import Rows, check_range, check_shape_and_dtype


class DaskRows(Rows):
    """A Dask array of shape (n, ...); axes after the first are flattened in C order."""

    def __init__(self, array: da.Array, uri: str = "<dask array>") -> None:
        if any(math.isnan(size) for size in array.shape):
            raise InputError(
                f"{uri}: shape {array.shape} is not known before it is computed: call array.compute_chunk_sizes() first"
            )
        check_shape_and_dtype(array.shape, array.dtype, uri)
        self._array = array
        self.uri = uri
        self.n, self.d = int(array.shape[0]), math.prod(array.shape[1:])
        self.row_shape = tuple(int(size) for size in array.shape[1:])
        self.dtype = array.dtype.newbyteorder("=")
        self.chunk_rows = Counter(array.chunks[0]).most_common(1)[0][0]

    def read(self, start: int, stop: int) -> NDArray[Any]:
        """Rows start..stop, computed."""
        check_range(start, stop, self.n, self.uri)
        return self._compute(self._array[start:stop], stop - start)

    def take(self, indices: NDArray[np.int64]) -> NDArray[Any]:
        """The rows at `indices`, in one computation."""
        return self._compute(self._array[np.asarray(indices)], len(indices))

    def _compute(self, lazy: da.Array, count: int) -> NDArray[Any]:
        block = np.asarray(lazy.compute())
        return np.ascontiguousarray(block.reshape(count, self.d), self.dtype)

    def fingerprint(self) -> str:
        """Dask's own token of the graph: the same for arrays built the same way from the same data."""
        return str(tokenize(self._array))

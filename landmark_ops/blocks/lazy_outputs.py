"""Any function of rows, lazily: a dask array of what it gives for a dask array, a zarr array or `Rows`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from landmark_ops.blocks.ranges import ranges, task_rows
from landmark_ops.numerics.distances import Array
from landmark_ops.stores.open import as_rows

if TYPE_CHECKING:
    import dask.array as da


def map_lazily(X: Any, fn: Callable[[Array], Array], k: int, dtype: np.dtype[Any]) -> da.Array:
    """A lazy (n, k) array of fn: (b, d) -> (b, k) over all rows; nothing is read or computed here."""
    import dask.array as da

    meta = np.empty((0, k), dtype)
    if isinstance(X, da.Array) and X.ndim == 2:
        whole = X.rechunk({1: -1})
        return whole.map_blocks(fn, dtype=dtype, chunks=(whole.chunks[0], (k,)), meta=meta)
    rows = as_rows(X)
    items = ranges(rows.n, task_rows(rows, k))

    def read(block_info: Any = None) -> Any:
        start, stop = block_info[None]["array-location"][0]
        return fn(rows.read(start, stop))

    chunks = (tuple(stop - start for start, stop in items), (k,))
    return da.map_blocks(read, chunks=chunks, dtype=dtype, meta=meta)

"""Rows placed lazily: a dask array of coordinates over a dask array, a zarr array or `Rows`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from landmark_ops.blocks.ranges import ranges, task_rows
from landmark_ops.numerics.evaluation import compute_dtype
from landmark_ops.numerics.landmark_map import LandmarkMap
from landmark_ops.stores.open import as_rows
from landmark_ops.stores.rows import Rows

if TYPE_CHECKING:
    import dask.array as da


def is_lazy(X: Any) -> bool:
    """Whether X is a dask array, a zarr array or `Rows`, rather than something NumPy holds in memory."""
    return isinstance(X, Rows) or type(X).__module__.partition(".")[0] in ("dask", "zarr")


def place_lazily(X: Any, fitted: LandmarkMap) -> da.Array:
    """A lazy (n, k) array of the rows' coordinates; nothing is read or computed here."""
    import dask.array as da

    k = fitted.n_components
    if isinstance(X, da.Array) and X.ndim == 2:
        whole = X.rechunk({1: -1})
        dtype = compute_dtype(X.dtype)
        return whole.map_blocks(fitted, dtype=dtype, chunks=(whole.chunks[0], (k,)), meta=np.empty((0, k), dtype))
    rows = as_rows(X)
    items = ranges(rows.n, task_rows(rows, k))
    chunks = (tuple(stop - start for start, stop in items), (k,))
    dtype = compute_dtype(rows.dtype)

    def place(block_info: Any = None) -> Any:
        start, stop = block_info[None]["array-location"][0]
        return fitted(rows.read(start, stop))

    return da.map_blocks(place, chunks=chunks, dtype=dtype, meta=np.empty((0, k), dtype))

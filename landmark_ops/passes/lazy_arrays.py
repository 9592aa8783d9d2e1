"""Functions of rows: lazily a dask array, for a dask array, a zarr array or `Rows`; at once on threads for NumPy."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from landmark_ops.engine.threads import LocalEngine
from landmark_ops.errors import Edge, InputError, speaks
from landmark_ops.maps.evaluation import compute_dtype
from landmark_ops.maps.landmark_map import LandmarkMap
from landmark_ops.numerics.distances import Array
from landmark_ops.passes.ranges import ranges, task_rows
from landmark_ops.passes.undefined_rows import refuse_lacking
from landmark_ops.row_range import RowRange
from landmark_ops.stores.sources.arrays import as_rows
from landmark_ops.stores.sources.rows import ArrayRows, Rows

if TYPE_CHECKING:
    import dask.array as da


def is_lazy(X: Any) -> bool:
    """Whether X is a dask array, a zarr array or `Rows`, rather than something NumPy holds in memory."""
    return isinstance(X, Rows) or type(X).__module__.partition(".")[0] in ("dask", "zarr")


def map_rows(X: Array, fn: Callable[[Array], Array]) -> Array:
    """fn: (b, d) -> (b, k) of the rows of an array in memory, ranges of them on threads with one BLAS thread each.

    A product of a few hundred rows, one after the other, is where BLAS's own threads mostly wait for each other.
    """
    items = ranges(len(X), task_rows(ArrayRows(X))) if len(X) else []
    if len(items) < 2:
        return fn(X)

    def of_rows(item: RowRange) -> Array:
        return fn(X[item.start : item.stop])

    found = dict(LocalEngine().imap(of_rows, items))
    return np.concatenate([found[item] for item in items])


def place_lazily(X: Any, fitted: LandmarkMap, *, refuse: bool = True) -> da.Array:
    """A lazy (n, k) array of the rows' coordinates; nothing is read or computed here.

    Raises `InputError` for what is no rows, and for rows with another number of features; where blocks are computed,
    and `refuse` is set, also for finite rows that have no coordinates.
    """
    rows = as_rows(X)
    if rows.d != fitted.n_features:
        raise InputError(f"{rows.uri}: rows have {rows.d} features, this map places rows of {fitted.n_features}")

    def place(block: Array) -> Array:
        placed = fitted(block)
        return refuse_lacking(placed, block, fitted, "a block of X") if refuse else placed

    lazy = X if type(X).__module__.partition(".")[0] == "dask" else rows  # a zarr array need not be opened again
    return map_lazily(lazy, place, fitted.n_components, compute_dtype(rows.dtype))


def map_lazily(X: Any, fn: Callable[[Array], Array], k: int, dtype: np.dtype[Any]) -> da.Array:
    """A lazy (n, k) array of fn: (b, d) -> (b, k) over all rows; nothing is read or computed here."""
    import dask.array as da

    meta = np.empty((0, k), dtype)
    fn = speaks(Edge.ESTIMATOR)(fn)
    if isinstance(X, da.Array) and X.ndim == 2:
        whole = X.rechunk({1: -1})
        return whole.map_blocks(fn, dtype=dtype, chunks=(whole.chunks[0], (k,)), meta=meta)
    rows = as_rows(X)
    items = ranges(rows.n, task_rows(rows, k))

    @speaks(Edge.ESTIMATOR)
    def read(block_info: Any = None) -> Any:
        start, stop = block_info[None]["array-location"][0]
        return fn(rows.read(start, stop))

    chunks = (tuple(stop - start for start, stop in items), (k,))
    return da.map_blocks(read, chunks=chunks, dtype=dtype, meta=meta)

"""Neighbours of query rows among support rows: the result of a search, and its checks of rows."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from landmark_ops.errors import BadRowsError, InputError
from landmark_ops.numerics.distances import Array, transform_rows
from landmark_ops.numerics.metric import Metric

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]


class Neighbors(NamedTuple):
    """Support rows near each query, nearest first, ties by lowest index. indices: (b, k); distances: (b, k)."""

    indices: I64
    distances: F64


class Index(Protocol):
    """A search over s support rows, prepared once: `exact_index.ExactIndex` or `neighbor_lists.IvfIndex`."""

    @property
    def size(self) -> int:
        """s."""
        ...

    def search(self, queries: Array, count: int) -> Neighbors:
        """The `count` nearest rows to each query (b, d)."""
        ...


def check_count(size: int, n_neighbors: int, need: int) -> None:
    """Refuse a support of fewer rows than neighbours are asked for.

    Raises InputError for it, and for fewer than one neighbour.
    """
    if n_neighbors < 1:
        raise InputError(f"n_neighbors={n_neighbors}: at least 1 is needed")
    if size < need:
        others = " (a row is no neighbour of itself)" if need > n_neighbors else ""
        raise InputError(
            f"n_neighbors={n_neighbors} needs at least {need} rows{others}, there are {size}: "
            f"lower n_neighbors to {max(size - need + n_neighbors, 0)} or give more rows"
        )


def measurable(X: Array, metric: Metric) -> NDArray[np.bool_]:
    """Which rows (b, d) have distances, (b,): finite ones, with a direction where the metric needs one."""
    if metric.family.takes_nan:
        return np.asarray(~np.isnan(X).all(axis=1))
    finite = np.asarray(np.isfinite(X).all(axis=1))
    if metric.transform in (None, "none"):
        return finite
    with np.errstate(invalid="ignore", over="ignore"):
        return np.asarray(finite & np.isfinite(prepare(X, metric)).all(axis=1))


def check_rows(X: Array, metric: Metric, where: str, numbers: I64 | None = None) -> None:
    """Refuse rows X (b, d) that are not usable. numbers: (b,) ascending, what the message calls them.

    Raises BadRowsError for NaN and Inf, InputError for rows that the metric is undefined on.
    """
    bad = np.flatnonzero(~measurable(X, metric))
    if len(bad) == 0:
        return
    first = int(bad[0] if numbers is None else numbers[bad[0]])
    broken = np.flatnonzero(~np.isfinite(X).all(axis=1))
    if len(broken):
        first = int(broken[0] if numbers is None else numbers[broken[0]])
        raise BadRowsError(len(broken), first, len(X), where)
    raise InputError(
        f"{where}: {len(bad)} of {len(X)} rows have no direction, {metric.name} is undefined on them, the first is row "
        f"{first}: drop constant or zero rows, or use metric euclidean"
    )


def prepare(X: Array, metric: Metric) -> Array:
    """Rows (b, d) as the search sees them: float32 where that holds them exactly, else float64; transformed."""
    working = np.result_type(X.dtype, np.float32)
    if metric.transform in (None, "none"):
        return np.ascontiguousarray(X, working)
    return np.ascontiguousarray(transform_rows(np.asarray(X, np.float64), metric.transform), working)


def without(found: Neighbors, exclude: I64) -> Neighbors:
    """Drop from each row of k + 1 neighbours the excluded one, or the last where duplicates have displaced it."""
    wanted = found.indices.shape[1] - 1
    own = found.indices == exclude[:, None]
    own[~own.any(axis=1), -1] = True
    return Neighbors(*(values[~own].reshape(-1, wanted) for values in found))

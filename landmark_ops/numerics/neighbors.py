"""The nearest of s support rows to each query row, exactly. The home of faiss; `neighbor_lists` searches approximately.

Under the Euclidean family (rows transformed first, as in `distances`) faiss finds candidates in float32, which are
checked and ranked by their float64 differences. Every other metric is searched tile by tile. Either search keeps to one
thread, workers are the parallelism, and gives a query the same answer in whatever batch it comes.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from landmark_ops.errors import BadRowsError, InputError
from landmark_ops.numerics.distances import Array, Metric, dists, transform_rows

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

SLACK = 8  # candidates beyond the wanted ones: float32 may rank near ties wrongly
TILE_ELEMENTS = 1 << 22  # of a tile of distances or of gathered differences: 32 MiB of float64
NEAR_ORIGIN = 4.0  # rows are centred for the approximate search where |mean|^2 exceeds so many times their spread


class Neighbors(NamedTuple):
    """Support rows near each query, nearest first, ties by lowest index. indices: (b, k); distances: (b, k)."""

    indices: I64
    distances: F64


class Index(Protocol):
    """A search over s support rows, prepared once: `ExactIndex` or `neighbor_lists.IvfIndex`."""

    @property
    def size(self) -> int:
        """s."""
        ...

    def search(self, queries: Array, count: int) -> Neighbors:
        """The `count` nearest rows to each query (b, d)."""
        ...


def knn(
    queries: Array,
    support: Array | None,
    n_neighbors: int,
    metric: Metric,
    *,
    index: Index | None = None,
    exclude: I64 | None = None,
) -> Neighbors:
    """Find the `n_neighbors` support rows (s, d) nearest to each query (b, d), in the units of `distances.dists`.

    `index`: a prepared search over the support, which then may be None; exact by default. `exclude`: (b,) the one
    support row each query must not find, itself as a rule; -1 for none. scikit-learn: `NearestNeighbors.kneighbors`.
    Raises InputError where the support holds too few rows, BadRowsError where a query or support row holds NaN or Inf.
    """
    if index is None:
        if support is None:
            raise ValueError("knn needs support rows or an index over them")
        index = ExactIndex(support, metric)
    need = n_neighbors + (exclude is not None)
    check_count(index.size, n_neighbors, need)
    check_rows(queries, metric, "queries")
    found = index.search(queries, need)
    return found if exclude is None else without(found, exclude)


def check_count(size: int, n_neighbors: int, need: int) -> None:
    """Refuse a support of fewer rows than neighbours are asked for."""
    if n_neighbors < 1:
        raise InputError(f"n_neighbors={n_neighbors}: at least 1 is needed")
    if size < need:
        others = " (a row is no neighbour of itself)" if need > n_neighbors else ""
        raise InputError(
            f"n_neighbors={n_neighbors} needs at least {need} rows{others}, there are {size}: "
            f"lower n_neighbors to {max(size - need + n_neighbors, 0)} or give more rows"
        )


def usable(X: Array, metric: Metric) -> NDArray[np.bool_]:
    """Which rows (b, d) have distances, (b,): finite ones, with a direction where the metric needs one."""
    if metric.name == "nan_euclidean":
        return np.asarray(~np.isnan(X).all(axis=1))
    finite = np.asarray(np.isfinite(X).all(axis=1))
    if metric.transform in (None, "none"):
        return finite
    with np.errstate(invalid="ignore", over="ignore"):
        return np.asarray(finite & np.isfinite(prepare(X, metric)).all(axis=1))


def check_rows(X: Array, metric: Metric, where: str, numbers: I64 | None = None) -> None:
    """Refuse rows X (b, d) that are not usable. numbers: (b,) ascending, what the message calls them."""
    bad = np.flatnonzero(~usable(X, metric))
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


class Frame(NamedTuple):
    """How prepared rows become faiss's float32: (x - center) * scale. center: (d,); scale: a power of two, 1/units."""

    center: F64
    scale: float

    @staticmethod
    def of(X: Array, always_center: bool) -> Frame:
        """Rows X (s, d) fitted into float32, which would overflow on squares from 1e19 and drop those below 1e-23."""
        center = X.mean(axis=0, dtype=np.float64)
        spread = X.var(axis=0, dtype=np.float64).sum()
        if not always_center and center @ center <= NEAR_ORIGIN * spread:
            center = np.zeros_like(center)  # then float32 rows are taken as they are, without rounding
        largest = float(np.abs(X - center).max(initial=0))
        return Frame(center, 2.0 ** -int(np.frexp(largest)[1]) if largest > 0 else 1.0)

    def lower(self, X: Array) -> F32:
        """Prepared rows X (b, d) as float32, C-contiguous."""
        if not self.center.any():
            return np.ascontiguousarray(X * X.dtype.type(self.scale), np.float32)
        return np.ascontiguousarray((X - self.center) * self.scale, np.float32)


@dataclass(frozen=True, eq=False)
class ExactIndex:
    """Exact search over support rows (s, d) under any metric."""

    support: Array
    metric: Metric

    def __post_init__(self) -> None:
        check_rows(self.support, self.metric, "support")

    @property
    def size(self) -> int:
        """s."""
        return len(self.support)

    @cached_property
    def _prepared(self) -> Array:
        return prepare(self.support, self.metric)

    @cached_property
    def _frame(self) -> Frame:
        return Frame.of(self._prepared, always_center=True)

    @cached_property
    def _low(self) -> F32:
        return self._frame.lower(self._prepared)

    def __getstate__(self) -> dict[str, Any]:
        return {"support": self.support, "metric": self.metric}

    def search(self, queries: Array, count: int) -> Neighbors:
        """The `count` nearest rows to each query (b, d); whatever the batch, the same answer."""
        if self.metric.transform is None:
            return self._search_tiled(queries, count)
        step = max(1, TILE_ELEMENTS // ((count + SLACK) * self.support.shape[1]))
        Q = prepare(queries, self.metric)
        parts = [self._search_flat(Q[at : at + step], count) for at in range(0, len(Q), step)]
        return _concatenate(parts, count)

    def _search_flat(self, Q: Array, count: int) -> Neighbors:
        """faiss's candidates, ranked by float64 differences; queries whose candidates may be too few are redone."""
        wide = int(min(self.size, count + SLACK))
        low = self._frame.lower(Q)
        with one_thread():
            approximate, candidates = faiss().knn(low, self._low, wide)
        sq = _sq_differences(Q, self._prepared[candidates])
        order = np.lexsort((candidates, sq), axis=1)[:, :count]
        best = np.take_along_axis(sq, order, axis=1)
        indices = np.take_along_axis(candidates, order, axis=1)
        if wide < self.size:
            # A row faiss left out is no nearer than its last candidate, give or take the rounding of
            # |q|^2 - 2 q.z + |z|^2; only rows within the last distance found can matter, so |z| <= |q| + last.
            last = best[:, -1] * self._frame.scale**2
            norms = 2 * np.sqrt(np.vecdot(low, low).astype(np.float64)) + np.sqrt(last)
            rounding = np.finfo(np.float32).eps * (8 + np.sqrt(Q.shape[1])) * norms**2
            for row in np.flatnonzero(approximate[:, -1] <= last + rounding):
                indices[row], best[row] = self._redo(Q[row], best[row, -1], count)
        return Neighbors(indices, np.sqrt(best))

    def _redo(self, q: Array, reach: float, count: int) -> tuple[I64, F64]:
        """One query (d,) against every support row, by differences. reach: squared distance that has to be covered."""
        step = max(1, TILE_ELEMENTS // len(q))
        tiles = [self._prepared[at : at + step] for at in range(0, self.size, step)]
        sq = np.concatenate([_sq_differences(q[None], tile[None])[0] for tile in tiles])
        near = np.flatnonzero(sq <= reach)
        order = near[np.argsort(sq[near], kind="stable")[:count]]
        return order, sq[order]

    def _search_tiled(self, queries: Array, count: int) -> Neighbors:
        step = max(1, TILE_ELEMENTS // self.size)
        parts = []
        for at in range(0, len(queries), step):
            tile = np.asarray(dists(queries[at : at + step], self.support, self.metric), np.float64)
            if np.isnan(tile).any():
                raise InputError(
                    f"metric {self.metric.name} is undefined between {int(np.isnan(tile).sum())} pairs of rows: drop "
                    "the rows it is undefined on, or use another metric"
                )
            parts.append(smallest(tile, count))
        return _concatenate(parts, count)


def smallest(values: F64, count: int) -> Neighbors:
    """The `count` smallest of each row of (b, s), ascending, ties by lowest column."""
    limit = np.partition(values, count - 1, axis=1)[:, count - 1]
    rows, columns = np.nonzero(values <= limit[:, None])  # all ties at the limit, columns ascending
    found = values[rows, columns]
    order = np.lexsort((columns, found, rows))
    starts = np.searchsorted(rows, np.arange(len(values)))
    chosen = order[starts[:, None] + np.arange(count)]
    return Neighbors(columns[chosen].astype(np.int64), found[chosen])


def _sq_differences(Q: Array, candidates: Array) -> F64:
    """|q - z|^2 in float64 from the differences. Q: (b, d); candidates: (b, c, d); (b, c)."""
    difference = np.subtract(Q[:, None, :], candidates, dtype=np.float64)
    return np.asarray(np.vecdot(difference, difference))


def _concatenate(parts: list[Neighbors], count: int) -> Neighbors:
    if not parts:
        return Neighbors(np.empty((0, count), np.int64), np.empty((0, count)))
    return Neighbors(*(np.concatenate(each) for each in zip(*parts, strict=True)))


@contextmanager
def one_thread() -> Iterator[None]:
    """Keep faiss, and the BLAS it brings, to the calling thread: the setting belongs to that thread alone."""
    before = faiss().omp_get_max_threads()
    faiss().omp_set_num_threads(1)
    try:
        yield
    finally:
        faiss().omp_set_num_threads(before)


@cache
def faiss() -> Any:
    """The library, imported on first use (0.2 s)."""
    import warnings

    with warnings.catch_warnings():  # the types that SWIG generates lack an attribute CPython asks for
        warnings.filterwarnings("ignore", message="builtin type .* has no __module__ attribute")
        import faiss as library
    return library

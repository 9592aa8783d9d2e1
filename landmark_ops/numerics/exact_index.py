"""The nearest of s support rows to each query row, exactly.

Under the Euclidean family (rows transformed first, as in `distances`) faiss finds candidates in float32, which are
checked and ranked by their float64 differences. Every other metric is searched tile by tile. Either search keeps to one
thread, workers are the parallelism, and gives a query the same answer in whatever batch it comes.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from landmark_ops.errors import InputError
from landmark_ops.numerics.distances import Array
from landmark_ops.numerics.faiss_library import faiss, one_thread
from landmark_ops.numerics.frame import Frame
from landmark_ops.numerics.metric import Metric, dists
from landmark_ops.numerics.neighbors import Index, Neighbors, check_count, check_rows, prepare, without

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

SLACK = 8  # candidates beyond the wanted ones: float32 may rank near ties wrongly
TILE_ELEMENTS = 1 << 22  # of a tile of distances or of gathered differences: 32 MiB of float64


def knn(
    queries: Array,
    support: Array | None,
    n_neighbors: int,
    metric: Metric,
    *,
    index: Index | None = None,
    exclude: I64 | None = None,
) -> Neighbors:
    """Find the `n_neighbors` support rows (s, d) nearest to each query (b, d), in the units of `metric.dists`.

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

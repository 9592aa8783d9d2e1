"""Exact neighbours of all support rows: every worker holds the support."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from landmark_ops.engine.protocol import Engine
from landmark_ops.numerics.distances import Array
from landmark_ops.numerics.exact_index import ExactIndex, knn
from landmark_ops.numerics.metric import Metric
from landmark_ops.numerics.neighbors import Neighbors, check_rows
from landmark_ops.passes.ranges import ranges
from landmark_ops.row_range import Done, RowRange

I64 = NDArray[np.int64]

EXACT_TASK = 1024  # queries per task


def exact_block(item: RowRange, index: ExactIndex, n_neighbors: int) -> Neighbors:
    """Neighbours of support rows item[0]..item[1] among all."""
    own = np.arange(*item, dtype=np.int64)
    return knn(index.support[item[0] : item[1]], None, n_neighbors, index.metric, index=index, exclude=own)


def search_exactly(
    points: Array, indices: I64, n_neighbors: int, metric: Metric, engine: Engine, done: Done | None
) -> Neighbors:
    """Neighbours of the support rows `points` (s, d), whose row numbers `indices` (s,) messages name."""
    check_rows(points, metric, "support", indices)
    index = ExactIndex(points, metric)
    out = Neighbors(np.empty((len(points), n_neighbors), np.int64), np.empty((len(points), n_neighbors)))
    items = ranges(len(points), EXACT_TASK)
    for (start, stop), found in engine.imap(exact_block, items, index, n_neighbors, done=done):
        out.indices[start:stop], out.distances[start:stop] = found
    return out

"""Approximate neighbours of all support rows, looked for in lists of them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from landmark_ops.engine.protocol import Engine
from landmark_ops.neighbors.shared_lists import SharedLists, attach
from landmark_ops.numerics.neighbors import Neighbors, without
from landmark_ops.passes.ranges import ranges
from landmark_ops.row_range import Done, RowRange

I64 = NDArray[np.int64]

SEARCH_TASK = 4096  # queries per task


def search_lists(shared: SharedLists, s: int, k: int, probes: int, engine: Engine, done: Done | None) -> Neighbors:
    """The k nearest found for each of s support rows, looking through `probes` lists."""
    out = Neighbors(np.empty((s, k), np.int64), np.empty((s, k)))
    items = ranges(s, SEARCH_TASK)
    for _, (own, found) in engine.imap(search_block, items, shared, k, probes, done=done):
        out.indices[own], out.distances[own] = found
    return out


def search_block(item: RowRange, shared: SharedLists, n_neighbors: int, probes: int) -> tuple[I64, Neighbors]:
    """Rows item[0]..item[1] in the order of the lists: their numbers and neighbours."""
    index = attach(shared)
    own, low = index.listed(*item)
    return own, without(index.search_low(low, n_neighbors + 1, probes), own)

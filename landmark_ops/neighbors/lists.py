"""Lists of support rows around centroids: trained on a sample; rows assigned by workers, and added in order here."""

from __future__ import annotations

from math import log2, sqrt

import numpy as np
from numpy.typing import NDArray

from landmark_ops.engine.protocol import Engine
from landmark_ops.neighbors.support import Support, block_step
from landmark_ops.numerics.metric import Metric
from landmark_ops.numerics.neighbor_lists import ROWS_PER_LIST, IvfIndex
from landmark_ops.numerics.neighbors import check_rows, measurable
from landmark_ops.numerics.random_streams import Stream, derived_seed, generator
from landmark_ops.passes.ranges import ranges
from landmark_ops.row_range import RowRange

I64 = NDArray[np.int64]


def list_count(s: int) -> int:
    """Lists for s rows: the power of two nearest to 2.8 √s, where filling and searching them cost least together."""
    return int(2 ** max(0, round(log2(2.8 * sqrt(s)))))


def assign_block(item: RowRange, support: Support, shell: IvfIndex) -> tuple[I64, NDArray[np.float32]]:
    """The list of each support row of a range, and the row as it is stored there."""
    points = support.read(item)
    check_rows(points, shell.metric, "support", support.numbers(item))
    low = shell.lower(points)
    return shell.assign(low), low


def fill_lists(support: Support, metric: Metric, engine: Engine, seed: int) -> IvfIndex:
    """The index with every support row in the list of its nearest centroid."""
    s = support.size
    lists = min(list_count(s), s)
    drawn = generator(seed, Stream.GRAPH_LISTS).choice(s, min(s, lists * ROWS_PER_LIST), replace=False)
    sample = np.sort(drawn) if support.indices is None else support.indices[np.sort(drawn)]
    trained = Support(support.rows, sample).gather(engine)
    good = measurable(trained, metric)  # a bad row is refused where all rows are read, and counted
    start = derived_seed(seed, Stream.GRAPH_LISTS_STARTS, bits=31)
    index = IvfIndex.train(trained[good] if good.any() else trained, metric, min(lists, max(1, int(good.sum()))), start)
    del trained
    items = ranges(s, block_step(support.rows.d))
    early: dict[RowRange, tuple[I64, NDArray[np.float32]]] = {}
    at = 0
    for item, block in engine.imap(assign_block, items, support, index.emptied()):
        early[item] = block
        while at < len(items) and items[at] in early:  # in order, so that rows are numbered as they stand
            assigned, low = early.pop(items[at])
            index.add(low, assigned)
            at += 1
    return index

"""The neighbour graph of support rows, built in parallel over ranges of them.

    few rows or any metric      every worker holds the support, exact search
    many rows, Euclidean family train lists on a sample -> assign every row (workers) -> fill the lists (here)
                                -> measure recall and choose the probes (workers) -> search (workers)

The graph is the one thing here that grows with the support: s k edges, which is why `MAX_SUPPORT` caps it. Ranges
depend on the support alone, never on storage chunks or workers, and neither does the graph.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from landmark_ops.engine.protocol import Engine
from landmark_ops.errors import InputError
from landmark_ops.neighbors.exact_search import search_exactly
from landmark_ops.neighbors.list_search import search_lists
from landmark_ops.neighbors.lists import fill_lists
from landmark_ops.neighbors.recall import measure_recall
from landmark_ops.neighbors.shared_lists import remove_lists, share_lists
from landmark_ops.neighbors.support import Support, check_support
from landmark_ops.numerics.distances import Array
from landmark_ops.numerics.edges import symmetric_graph
from landmark_ops.numerics.metric import Metric
from landmark_ops.numerics.neighbors import Neighbors, check_count
from landmark_ops.numerics.quality import Estimate
from landmark_ops.row_range import Done
from landmark_ops.stores.sources.rows import Rows

I64 = NDArray[np.int64]

EXACT_ROWS = 20_000  # support up to which the exact search is taken: 4 s at 192 features


class NeighborGraph(NamedTuple):
    """The neighbour graph of the support."""

    matrix: sp.csr_array  # (s, s) float64, symmetric; an explicit 0 is an edge between duplicates
    support_indices: I64  # (s,) ascending global row indices
    n_neighbors: int
    metric: Metric
    recall: Estimate | None  # share of true neighbours that the approximate search found; None where it was exact
    note: str  # for people: how the graph was made
    points: Array | None  # (s, d) the support as stored, where the exact search held it


def neighbor_graph(
    rows: Rows,
    support_indices: I64 | None,
    n_neighbors: int,
    metric: Metric,
    engine: Engine,
    *,
    seed: int = 0,
    scratch_uri: str | None = None,
    done: Done | None = None,
) -> NeighborGraph:
    """Connect each support row to its `n_neighbors` nearest, and them to it.

    `support_indices`: ascending global row indices, or None for all rows. The search is exact up to EXACT_ROWS, and
    under metrics that have no approximate one.
    `scratch_uri`: a folder that all workers see; without it shared data is sent to them. `done` is called with
    ranges of support rows that add up to s, as the search goes on.
    Raises InputError for fewer rows than neighbours, too many rows, rows with NaN or Inf (`BadRowsError`, numbered as
    in the source) and `exact=False` under a metric that has no approximate search.
    """
    indices = check_support(rows, support_indices)
    s = len(indices)
    check_count(s, n_neighbors, n_neighbors + 1)
    if metric.family.precomputed:
        raise InputError("metric precomputed: a neighbour graph needs rows, not distances: give the rows themselves")
    support = Support(rows, None if support_indices is None else indices)
    if metric.transform is None or s <= EXACT_ROWS:
        points = support.gather(engine)
        found = search_exactly(points, indices, n_neighbors, metric, engine, done)
        return _graph(found, indices, n_neighbors, metric, None, "exact", points)
    index = fill_lists(support, metric, engine, seed)
    lists = index.lists
    shared = share_lists(index, scratch_uri)
    del index  # in a scratch folder now, or held by `shared`
    try:
        recall, probes = measure_recall(shared, s, lists, n_neighbors, engine, seed)
        found = search_lists(shared, s, n_neighbors, probes, engine, done)
    finally:
        remove_lists(shared)
    note = f"approximate, {probes} of {lists} lists searched in float32, recall {recall.value:.3f} ± "
    note += f"{recall.standard_error:.3f}"
    return _graph(found, indices, n_neighbors, metric, recall, note, None)


def _graph(
    found: Neighbors, indices: I64, n_neighbors: int, metric: Metric, recall: Estimate | None, note: str, points: Any
) -> NeighborGraph:
    matrix = symmetric_graph(found.indices, found.distances)
    note = f"graph of {len(indices)} rows and {n_neighbors} neighbours, {matrix.nnz // 2} edges: {note}"
    return NeighborGraph(matrix, indices, n_neighbors, metric, recall, note, points)

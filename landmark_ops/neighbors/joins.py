"""Components of a graph joined by the shortest edges between them."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from landmark_ops.engine.protocol import Engine
from landmark_ops.neighbors.graph import NeighborGraph
from landmark_ops.neighbors.support import Support
from landmark_ops.numerics.components import Components, components_of, nearest_outside, shortest_links
from landmark_ops.numerics.distances import Array
from landmark_ops.numerics.edges import with_edges
from landmark_ops.numerics.metric import Metric, dists
from landmark_ops.numerics.neighbors import prepare
from landmark_ops.passes.ranges import TASK_BYTES, ranges
from landmark_ops.row_range import RowRange
from landmark_ops.stores.sources.rows import ArrayRows, Rows

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

JOIN_PAIRS = 1 << 31  # distances per round of joining: 1 minute at 192 features; beyond, rows are sampled
JOIN_TILE = 1 << 21  # distances per tile


def join_components(
    graph: NeighborGraph, components: Components, engine: Engine, source: Rows | None
) -> tuple[sp.csr_array, str]:
    """Add the shortest edges between components until there is one; the graph, and a note.

    Borůvka's rounds: in each, every component but the largest gets the shortest edge that leaves it, so that at least
    half of them vanish. Where that takes more than `JOIN_PAIRS` distances, the rows of each component are sampled
    evenly and its edge is the shortest from those: an upper bound, and the note says so.
    """
    if graph.points is not None:
        support = Support(ArrayRows(graph.points), None)
    elif source is not None:
        support = Support(source, graph.support_indices)
    else:
        raise ValueError("joining components needs the rows: the graph holds no points, give source")
    s = support.size
    step = max(1, TASK_BYTES // (4 * support.rows.d))
    matrix, added, sampled = graph.matrix, [], False
    while components.count > 1:
        queries = np.flatnonzero(components.labels > 0)
        if len(queries) * s > JOIN_PAIRS:
            queries, sampled = _thin(queries, components, max(1, JOIN_PAIRS // s)), True
        at = queries if support.indices is None else support.indices[queries]
        points = Support(support.rows, at).gather(engine)
        own = components.labels[queries]
        best, nearest = np.full(len(queries), np.inf), np.full(len(queries), s, np.int64)
        for _, (columns, lengths) in engine.imap(
            outside_block, ranges(s, step), support, points, own, components.labels, graph.metric
        ):
            better = (lengths < best) | ((lengths == best) & (columns < nearest))
            best[better], nearest[better] = lengths[better], columns[better]
        links = shortest_links(components, nearest, best, queries)
        added.append(links)
        matrix = with_edges(matrix, links)
        components = components_of(matrix)
    longest = max(float(links.lengths.max()) for links in added)
    how = "shortest from sampled rows of each component" if sampled else "shortest"
    return matrix, f"joined by {sum(len(links.lengths) for links in added)} {how} edges, the longest {longest:.4g}"


def outside_block(
    item: RowRange,
    support: Support,
    queries: Array,
    own: NDArray[np.int32],
    labels: NDArray[np.int32],
    metric: Metric,
) -> tuple[I64, F64]:
    """The nearest of support rows item[0]..item[1] of another component to each query: position, distance, (q,)."""
    points = support.read(item)
    if metric.transform is not None:  # prepared once, not once per tile
        points, queries, metric = prepare(points, metric), prepare(queries, metric), Metric("euclidean")
    step = max(1, JOIN_TILE // len(points))
    parts = []
    for at in range(0, len(queries), step):
        tile = np.asarray(dists(queries[at : at + step], points, metric), np.float64)
        parts.append(nearest_outside(tile, own[at : at + step], labels[slice(*item)]))
    columns, lengths = (np.concatenate(part) for part in zip(*parts, strict=True))
    return columns + item[0], lengths


def _thin(queries: I64, components: Components, count: int) -> I64:
    """About `count` of the rows, as many of each component, at least one, evenly spaced by index."""
    each = max(1, count // (components.count - 1))
    order = queries[np.argsort(components.labels[queries], kind="stable")]
    sizes = components.sizes[1:]
    place = np.arange(len(order)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    stride = np.repeat(-(-sizes // each), sizes)
    return np.sort(order[place % stride == 0])

"""Geodesics from landmarks along a neighbour graph: one Dijkstra batch of landmarks per task.

The graph goes to the workers once, through the scratch folder or as a shared argument. Results are (s, m) float32: with
a scratch folder a Zarr matrix of which each task writes whole column chunks, otherwise an array in this process.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from landmark_ops.engine.protocol import Engine
from landmark_ops.errors import InputError
from landmark_ops.neighbors.graph import NeighborGraph, gather, read_block
from landmark_ops.neighbors.shared import forget, fresh_name, opened
from landmark_ops.numerics.distances import Array, Metric, dists
from landmark_ops.numerics.geodesic_block import SUPPORT_ROWS, Geodesic
from landmark_ops.numerics.geodesics import (
    Components,
    Policy,
    check_policy,
    components_of,
    geodesics_from,
    nearest_outside,
    refuse_components,
    shortest_links,
    symmetric,
    with_edges,
)
from landmark_ops.numerics.neighbors import prepare
from landmark_ops.numerics.random_streams import Stream, generator
from landmark_ops.numerics.ranges import STORED, largest, stored
from landmark_ops.passes.ranges import TASK_BYTES, ranges
from landmark_ops.row_range import Done, RowRange
from landmark_ops.stores.scratch import COLUMN_CHUNK, Scratch
from landmark_ops.stores.sources.rows import ArrayRows, Rows

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

LANDMARK_BATCH = COLUMN_CHUNK  # one task writes whole column chunks
IN_MEMORY_BYTES = 2 << 30  # of geodesics without a scratch folder
JOIN_PAIRS = 1 << 31  # distances per round of joining: 1 minute at 192 features; beyond, rows are sampled
JOIN_TILE = 1 << 21  # distances per tile


class Geodesics(NamedTuple):
    """Shortest path lengths of s support rows to the kept landmarks, m' of m."""

    landmark: F64  # (m', m') among the landmarks, symmetric
    rows: Rows  # (s, m') float32, NaN for rows outside the largest component under `largest`
    kept: I64  # (m',) which of the m landmarks these are: all, unless `largest` left some without a path
    components: Components  # of the graph before joining
    matrix: sp.csr_array  # the graph they were measured along, with edges that joining added
    note: str

    def read(self, start: int, stop: int) -> F32:
        """Geodesics of support rows start..stop, (stop - start, m')."""
        return np.asarray(self.rows.read(start, stop), np.float32)


class GraphBytes(NamedTuple):
    """Planned peak memory, bytes: of one worker, of the process that runs the flow, and of the scratch on disk."""

    worker: int
    flow: int
    scratch: int


def graph_bytes(n: int, d: int, k: int, m: int) -> GraphBytes:
    """Plan the graph of n support rows of d features with k neighbours, and geodesics to m landmarks.

    Not independent of n, up to the cap of the support: a worker maps the lists of n rows (pages that all workers of a
    machine share) while it searches, then the graph of up to 2 n k edges and a batch of paths. The flow's process
    holds the lists while it fills them, then sorts the edges. Without a scratch folder each holds a second copy.
    Constants from measured peaks of 131,072 x 192 to 1,000,000 x 32 rows, rounded up.
    """
    lists = n * (4 * d + 8)
    edges = 2 * n * k * 12 + 4 * n  # float64 length and int32 column; usually three quarters of it
    batch = min(m, LANDMARK_BATCH) * n * (8 + 4 + 4) + n * 200  # float64, float32 copy and chunks; Dijkstra's nodes
    task = 4 * min(TASK_BYTES, n * (4 * d + 8 + 16 * k))
    worker = max(lists + task, edges + batch)
    flow = lists + max(4 * task, n * k * 130)
    return GraphBytes(worker, flow, lists + edges + n * m * 4)


def landmark_geodesics(
    graph: NeighborGraph,
    landmark_positions: I64,
    engine: Engine,
    *,
    policy: Policy,
    scratch_uri: str | None,
    source: Rows | None = None,
    done: Done | None = None,
) -> Geodesics:
    """Geodesics from m landmarks, given by their positions in the support (m,), to all s support rows.

    `policy` for a graph of several components: `error`; `join` by the shortest edges between them, for which `source`,
    the rows the graph was made of, is needed where the graph does not hold its points; `largest`: rows and landmarks
    outside the largest get none. `done` is called with ranges of landmarks.
    """
    check_policy(policy)
    positions = np.asarray(landmark_positions, np.int64)
    s = graph.matrix.shape[0]
    if len(positions) == 0 or positions.min() < 0 or positions.max() >= s:
        raise ValueError(f"landmark positions must be one or more of 0..{s - 1}, positions in the support")
    components = components_of(graph.matrix)
    matrix, kept, note = graph.matrix, np.arange(len(positions)), components.describe()
    if components.count > 1:
        if policy == "error":
            refuse_components(components, graph.n_neighbors)
        elif policy == "join":
            matrix, joined = join_components(graph, components, engine, source)
            note += f", {joined}"
        else:
            kept = np.flatnonzero(components.labels[positions] == 0)
            if len(kept) == 0:
                raise InputError(
                    f"none of {len(positions)} landmarks lies in the largest of {components.describe()}: give more "
                    "landmarks, raise n_neighbors, or set components: join"
                )
            note += f", the largest alone has coordinates; {len(positions) - len(kept)} landmarks left out"
    landmark, values = _measure(matrix, positions[kept], engine, scratch_uri, done)
    return Geodesics(landmark, values, kept, components, matrix, note)


class SharedGraph(NamedTuple):
    """How tasks reach the graph: itself, or the scratch folder that holds it, and where their columns go."""

    matrix: sp.csr_array | None
    scratch: Scratch | None
    name: str
    target: str


def _put_graph(scratch: Scratch, name: str, matrix: sp.csr_array) -> None:
    for part in ("data", "indices", "indptr"):
        scratch.put_array(f"{name}-{part}", getattr(matrix, part))


def get_graph(scratch: Scratch, name: str) -> sp.csr_array:
    """The graph as `_put_graph` stored it, mapped where it lies on this machine."""
    data, indices, indptr = (scratch.get_array(f"{name}-{part}") for part in ("data", "indices", "indptr"))
    return sp.csr_array((data, indices, indptr), shape=(len(indptr) - 1, len(indptr) - 1))


def path_block(item: RowRange, shared: SharedGraph, positions: I64) -> tuple[F64, F32 | None]:
    """Geodesics of landmarks item[0]..item[1]: to all landmarks (b, m), and to all rows (s, b) unless written."""
    matrix = shared.matrix
    if shared.scratch is not None:
        matrix = opened(shared.scratch, shared.name, get_graph)
    lengths = geodesics_from(matrix, positions[slice(*item)])
    among = lengths[:, positions]
    lengths[np.isinf(lengths)] = np.nan  # rows of other components
    refuse_beyond_single(lengths)
    columns = np.ascontiguousarray(lengths.T, np.float32)
    del lengths
    if shared.scratch is None:
        return among, columns
    shared.scratch.write_columns(shared.target, item[0], columns)
    return among, None


def refuse_beyond_single(lengths: F64) -> None:
    """InputError where lengths, NaN aside, are not what float32 can hold, in which they are kept."""
    top = largest(lengths)
    if not stored(top):
        raise InputError(
            f"geodesics reach {top:.3g}, they are kept in float32, which holds {STORED[0]:.0e} to {STORED[1]:.0e}: "
            "multiply the rows by a power of ten"
        )


def _measure(
    matrix: sp.csr_array, positions: I64, engine: Engine, scratch_uri: str | None, done: Done | None
) -> tuple[F64, Rows]:
    s, m = matrix.shape[0], len(positions)
    scratch = None if scratch_uri is None else Scratch(scratch_uri)
    shared = SharedGraph(None if scratch else matrix, scratch, fresh_name("graph"), "geodesics")
    values = np.empty((0, 0), np.float32)
    if scratch is None:
        if s * m * 4 > IN_MEMORY_BYTES:
            raise InputError(
                f"geodesics of {s} rows to {m} landmarks take {s * m * 4 >> 20} MiB, {IN_MEMORY_BYTES >> 20} MiB at "
                "most are kept in memory: give a scratch folder, fewer landmarks or a smaller support"
            )
        values = np.empty((s, m), np.float32)
    else:
        _put_graph(scratch, shared.name, matrix)
        scratch.create_matrix(shared.target, s, m)
    landmark = np.empty((m, m))
    try:
        for (start, stop), (among, columns) in engine.imap(
            path_block, ranges(m, LANDMARK_BATCH), shared, positions, done=done
        ):
            landmark[start:stop] = among
            if columns is not None:
                values[:, start:stop] = columns
    finally:
        forget()
        if scratch is not None:
            for part in ("data", "indices", "indptr"):
                scratch.remove(f"{shared.name}-{part}.npy")
    return symmetric(landmark), ArrayRows(values) if scratch is None else scratch.open_matrix(shared.target)


# Joining components


def outside_block(
    item: RowRange, rows: Rows, indices: I64 | None, queries: Array, own: NDArray[np.int32], labels: NDArray[np.int32],
    metric: Metric,
) -> tuple[I64, F64]:  # fmt: skip
    """Of support rows item[0]..item[1] the nearest of another component to each query: position, distance, (q,)."""
    points = read_block(item, rows, indices)
    if metric.transform is not None:  # prepared once, not once per tile
        points, queries, metric = prepare(points, metric), prepare(queries, metric), Metric("euclidean")
    step = max(1, JOIN_TILE // len(points))
    parts = []
    for at in range(0, len(queries), step):
        tile = np.asarray(dists(queries[at : at + step], points, metric), np.float64)
        parts.append(nearest_outside(tile, own[at : at + step], labels[slice(*item)]))
    columns, lengths = (np.concatenate(part) for part in zip(*parts, strict=True))
    return columns + item[0], lengths


def join_components(
    graph: NeighborGraph, components: Components, engine: Engine, source: Rows | None
) -> tuple[sp.csr_array, str]:
    """Add the shortest edges between components until there is one; the graph, and a note.

    Borůvka's rounds: in each, every component but the largest gets the shortest edge that leaves it, so that at least
    half of them vanish. Where that takes more than `JOIN_PAIRS` distances, the rows of each component are sampled
    evenly and its edge is the shortest from those: an upper bound, and the note says so.
    """
    rows: Rows
    indices = None if graph.points is not None else graph.support_indices
    if graph.points is not None:
        rows = ArrayRows(graph.points)
    elif source is not None:
        rows = source
    else:
        raise ValueError("joining components needs the rows: the graph holds no points, give source")
    s = graph.matrix.shape[0]
    step = max(1, TASK_BYTES // (4 * rows.d))
    matrix, added, sampled = graph.matrix, [], False
    while components.count > 1:
        queries = np.flatnonzero(components.labels > 0)
        if len(queries) * s > JOIN_PAIRS:
            queries, sampled = _thin(queries, components, max(1, JOIN_PAIRS // s)), True
        at = queries if indices is None else indices[queries]
        points = gather(rows, at, engine)
        own = components.labels[queries]
        best, nearest = np.full(len(queries), np.inf), np.full(len(queries), s, np.int64)
        for _, (columns, lengths) in engine.imap(
            outside_block, ranges(s, step), rows, indices, points, own, components.labels, graph.metric
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


def _thin(queries: I64, components: Components, count: int) -> I64:
    """About `count` of the rows, as many of each component, at least one, evenly spaced by index."""
    each = max(1, count // (components.count - 1))
    order = queries[np.argsort(components.labels[queries], kind="stable")]
    sizes = components.sizes[1:]
    place = np.arange(len(order)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    stride = np.repeat(-(-sizes // each), sizes)
    return np.sort(order[place % stride == 0])


# What goes beside the map


def geodesic_support(
    rows: Rows, graph: NeighborGraph, geodesics: Geodesics, landmark_positions: I64, engine: Engine, *, seed: int = 0
) -> Geodesic:
    """The block that places new rows: the support rows with geodesics, all or `SUPPORT_ROWS` of them and landmarks.

    `landmark_positions`: (m,) as given to `landmark_geodesics`; landmarks are always among the points, so that they
    keep their own coordinates.
    """
    reached = np.flatnonzero(components_of(geodesics.matrix).labels == 0)
    if len(reached) > SUPPORT_ROWS:
        landmarks = np.asarray(landmark_positions, np.int64)[geodesics.kept]
        draw = generator(seed, Stream.GEODESIC_SUPPORT)
        others = np.setdiff1d(reached, landmarks)
        drawn = draw.choice(others, SUPPORT_ROWS - min(len(np.unique(landmarks)), SUPPORT_ROWS // 2), replace=False)
        reached = np.union1d(drawn, landmarks)
    at = graph.support_indices[reached]
    points = gather(rows, at, engine) if graph.points is None else graph.points[reached]
    return Geodesic(points, geodesics.rows.take(reached), min(graph.n_neighbors, len(reached)), graph.metric)

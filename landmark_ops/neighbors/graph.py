"""The neighbour graph of support rows, built in parallel over ranges of them.

    few rows or any metric      every worker holds the support, exact search
    many rows, Euclidean family train lists on a sample -> assign every row (workers) -> fill the lists (here)
                                -> measure recall and choose the probes (workers) -> search (workers)

The graph is the one thing here that grows with the support: s k edges, which is why `MAX_SUPPORT` caps it. Ranges
depend on the support alone, never on storage chunks or workers, and neither does the graph.
"""

from __future__ import annotations

from math import log2, sqrt
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from landmark_ops.engine.protocol import Engine
from landmark_ops.errors import InputError
from landmark_ops.neighbors.shared import forget, fresh_name, opened
from landmark_ops.numerics.distances import Array, Metric
from landmark_ops.numerics.geodesics import symmetric_graph
from landmark_ops.numerics.neighbor_lists import ROWS_PER_LIST, IvfIndex, probe_recall
from landmark_ops.numerics.neighbors import ExactIndex, Neighbors, check_count, check_rows, knn, usable, without
from landmark_ops.numerics.quality import Estimate
from landmark_ops.numerics.random_streams import Stream, derived_seed, generator
from landmark_ops.passes.ranges import TASK_BYTES, ranges
from landmark_ops.row_range import Done, RowRange
from landmark_ops.stores.scratch import Scratch
from landmark_ops.stores.sources.rows import Rows

I64 = NDArray[np.int64]

MAX_SUPPORT = 1_000_000  # rows of a graph: beyond, indices of a sample have to be given
EXACT_ROWS = 20_000  # support up to which the exact search is the default: 4 s at 192 features
EXACT_TASK, SEARCH_TASK = 1024, 4096  # queries per task
RECALL_ROWS, RECALL_TASK = 512, 64  # rows whose true neighbours are looked up: a standard error of about .005
TARGET_RECALL = 0.97  # four standard errors above the .95 that is promised
LADDER = (8, 12, 16, 20, 24, 32, 48, 64, 96, 128, 192, 256)  # probes tried, up to an eighth of the lists


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
    exact: bool | None = None,
    seed: int = 0,
    scratch_uri: str | None = None,
    done: Done | None = None,
) -> NeighborGraph:
    """Connect each support row to its `n_neighbors` nearest, and them to it.

    `support_indices`: ascending global row indices, or None for all rows. `exact`: None decides by metric and size.
    `scratch_uri`: a folder that all workers see; without it what they share is sent to them. `done` is called with
    ranges of support rows that add up to s, as the search goes on.
    Raises InputError for fewer rows than neighbours, too many rows, rows with NaN or Inf (`BadRowsError`, numbered as
    in the source) and `exact=False` under a metric that has no approximate search.
    """
    indices = check_support(rows, support_indices)
    s = len(indices)
    check_count(s, n_neighbors, n_neighbors + 1)
    if metric.name == "precomputed":
        raise InputError("metric precomputed: a neighbour graph needs rows, not distances: give the rows themselves")
    if exact is None:
        exact = metric.transform is None or s <= EXACT_ROWS
    whole = None if support_indices is None else indices
    if exact:
        points = gather(rows, whole, engine)
        found, note, recall = _search_exactly(points, indices, n_neighbors, metric, engine, done), "exact", None
        return _graph(found, indices, n_neighbors, metric, recall, note, points)
    if metric.transform is None:
        raise InputError(
            f"metric {metric.name} has no approximate neighbour search, only the exact one of all {s} x {s} pairs: "
            "leave out exact: false, or use euclidean, sqeuclidean, cosine or correlation"
        )
    index = _fill_lists(rows, whole, metric, engine, seed)
    lists = index.lists
    shared = _share(index, scratch_uri)
    del index  # in a scratch folder now, or held by `shared`
    try:
        recall, probes = _measure_recall(shared, s, lists, n_neighbors, engine, seed)
        found = _search_lists(shared, s, n_neighbors, probes, engine, done)
    finally:
        _unshare(shared)
    note = f"approximate, {probes} of {lists} lists searched in float32, recall {recall.value:.3f} ± "
    note += f"{recall.standard_error:.3f}"
    return _graph(found, indices, n_neighbors, metric, recall, note, None)


def _graph(
    found: Neighbors, indices: I64, n_neighbors: int, metric: Metric, recall: Estimate | None, note: str, points: Any
) -> NeighborGraph:
    matrix = symmetric_graph(found.indices, found.distances)
    note = f"graph of {len(indices)} rows and {n_neighbors} neighbours, {matrix.nnz // 2} edges: {note}"
    return NeighborGraph(matrix, indices, n_neighbors, metric, recall, note, points)


def check_support(rows: Rows, support_indices: I64 | None) -> I64:
    """The support as ascending row indices (s,); refuses unsorted, repeated or foreign ones, and too many."""
    if support_indices is None:
        if rows.n > MAX_SUPPORT:
            raise InputError(
                f"{rows.uri}: {rows.n} rows, a neighbour graph takes {MAX_SUPPORT} at most: give a sample of them as "
                "the support (max_support)"
            )
        return np.arange(rows.n, dtype=np.int64)
    indices = np.asarray(support_indices, np.int64)
    if len(indices) and ((np.diff(indices) <= 0).any() or indices[0] < 0 or indices[-1] >= rows.n):
        raise ValueError(f"support indices must ascend without repeats within rows 0..{rows.n}")
    return indices


# Support rows, in blocks


def block_step(d: int) -> int:
    """Rows per task where rows are only read and assigned: a power of two, as chunks mostly are; 8 to 16 MiB.

    Assigned rows come back to the flow's process, and a window of tasks may be waiting there.
    """
    return int(1 << (max(1, TASK_BYTES // 2 // (4 * d)).bit_length() - 1))


def read_block(item: RowRange, rows: Rows, indices: I64 | None) -> Array:
    """Rows item[0]..item[1] of the support, as stored."""
    return rows.read(*item) if indices is None else rows.take(indices[item[0] : item[1]])


def gather(rows: Rows, indices: I64 | None, engine: Engine) -> Array:
    """The rows at ascending `indices`, all for None, read in parallel; (len(indices), d) as stored."""
    count = rows.n if indices is None else len(indices)
    out = np.empty((count, rows.d), rows.dtype)
    for (start, stop), block in engine.imap(read_block, ranges(count, block_step(rows.d)), rows, indices):
        out[start:stop] = block
    return out


# Exact


def exact_block(item: RowRange, index: ExactIndex, n_neighbors: int) -> Neighbors:
    """Neighbours of support rows item[0]..item[1] among all."""
    own = np.arange(*item, dtype=np.int64)
    return knn(index.support[item[0] : item[1]], None, n_neighbors, index.metric, index=index, exclude=own)


def _search_exactly(
    points: Array, indices: I64, n_neighbors: int, metric: Metric, engine: Engine, done: Done | None
) -> Neighbors:
    check_rows(points, metric, "support", indices)
    index = ExactIndex(points, metric)
    out = _empty(len(points), n_neighbors)
    items = ranges(len(points), EXACT_TASK)
    for (start, stop), found in engine.imap(exact_block, items, index, n_neighbors, done=done):
        out.indices[start:stop], out.distances[start:stop] = found
    return out


def _empty(s: int, k: int) -> Neighbors:
    return Neighbors(np.full((s, k), -1, np.int64), np.full((s, k), np.inf))


# Approximate


def list_count(s: int) -> int:
    """Lists for s rows: the power of two nearest to 2.8 √s, where filling and searching them cost least together."""
    return int(2 ** max(0, round(log2(2.8 * sqrt(s)))))


def assign_block(item: RowRange, rows: Rows, indices: I64 | None, shell: IvfIndex) -> tuple[I64, NDArray[np.float32]]:
    """The list of each support row of a range, and the row as it is stored there."""
    points = read_block(item, rows, indices)
    numbers = np.arange(*item, dtype=np.int64) if indices is None else indices[item[0] : item[1]]
    check_rows(points, shell.metric, "support", numbers)
    low = shell.lower(points)
    return shell.assign(low), low


def _fill_lists(rows: Rows, indices: I64 | None, metric: Metric, engine: Engine, seed: int) -> IvfIndex:
    s = rows.n if indices is None else len(indices)
    lists = min(list_count(s), s)
    drawn = generator(seed, Stream.GRAPH_LISTS).choice(s, min(s, lists * ROWS_PER_LIST), replace=False)
    sample = np.sort(drawn) if indices is None else indices[np.sort(drawn)]
    trained = gather(rows, sample, engine)
    good = usable(trained, metric)  # a bad row is refused where all rows are read, and counted
    start = derived_seed(seed, Stream.GRAPH_LISTS_STARTS, bits=31)
    index = IvfIndex.train(trained[good] if good.any() else trained, metric, min(lists, max(1, int(good.sum()))), start)
    del trained
    items = ranges(s, block_step(rows.d))
    early: dict[RowRange, tuple[I64, NDArray[np.float32]]] = {}
    at = 0
    for item, block in engine.imap(assign_block, items, rows, indices, index.emptied()):
        early[item] = block
        while at < len(items) and items[at] in early:  # in order, so that rows are numbered as they stand
            assigned, low = early.pop(items[at])
            index.add(low, assigned)
            at += 1
    return index


class Shared(NamedTuple):
    """How tasks reach the index: itself, or its centroids and the scratch folder that holds the lists."""

    held: IvfIndex
    scratch: Scratch | None
    name: str


def _share(index: IvfIndex, scratch_uri: str | None) -> Shared:
    name = fresh_name("neighbors")
    if scratch_uri is None:
        return Shared(index, None, name)
    scratch = Scratch(scratch_uri)
    if path := scratch.local_path(name):
        index.save(path)
    else:
        scratch.put_array(name, index.to_bytes())
    return Shared(index.emptied(), scratch, name)


def _unshare(shared: Shared) -> None:
    forget()
    if shared.scratch is not None:
        shared.scratch.remove(shared.name if shared.scratch.local_path(shared.name) else f"{shared.name}.npy")


def open_lists(scratch: Scratch, name: str) -> Any:
    """The lists as `_share` stored them, mapped where they lie on this machine."""
    path = scratch.local_path(name)
    return IvfIndex.map_lists(path) if path else IvfIndex.load_lists(scratch.get_array(name))


def attach(shared: Shared) -> IvfIndex:
    """The index in this process."""
    if shared.scratch is None:
        return shared.held
    return shared.held.over(opened(shared.scratch, shared.name, open_lists))


def recall_block(
    item: RowRange, shared: Shared, sample: I64, n_neighbors: int, ladder: tuple[int, ...]
) -> NDArray[np.float64]:
    """Recall of the sampled rows item[0]..item[1] for each number of probes; sample: (q,) places in the lists."""
    index = attach(shared)
    single = [index.listed(int(at), int(at) + 1) for at in sample[slice(*item)]]
    own, low = (np.concatenate(part) for part in zip(*single, strict=True))
    return probe_recall(index, low, own, n_neighbors, ladder)


def _measure_recall(shared: Shared, s: int, lists: int, k: int, engine: Engine, seed: int) -> tuple[Estimate, int]:
    """Recall with its standard error at the fewest probes that reach the target on a sample, and their number.

    One half of the sample chooses the probes, the other tells their recall: on the same half it would be flattered.
    """
    draw = generator(seed, Stream.GRAPH_RECALL)
    sample = draw.choice(s, min(RECALL_ROWS, s), replace=False)
    ladder = tuple(probes for probes in LADDER if probes <= max(lists // 8, LADDER[0]))
    items = ranges(len(sample), RECALL_TASK)
    parts = dict(engine.imap(recall_block, items, shared, sample, k, ladder))
    shares = np.concatenate([parts[item] for item in items])
    half = len(shares) // 2
    enough = np.flatnonzero(shares[:half].mean(axis=0) >= TARGET_RECALL)
    chosen = int(enough[0]) if len(enough) else len(ladder) - 1
    told = shares[half:, chosen]
    error = float(told.std(ddof=1)) / sqrt(len(told)) if len(told) > 1 else float("nan")
    return Estimate(float(told.mean()), error), ladder[chosen]


def search_block(item: RowRange, shared: Shared, n_neighbors: int, probes: int) -> tuple[I64, Neighbors]:
    """Rows item[0]..item[1] in the order of the lists: their numbers and neighbours."""
    index = attach(shared)
    own, low = index.listed(*item)
    return own, without(index.search_low(low, n_neighbors + 1, probes), own)


def _search_lists(shared: Shared, s: int, k: int, probes: int, engine: Engine, done: Done | None) -> Neighbors:
    out = Neighbors(np.empty((s, k), np.int64), np.empty((s, k)))
    items = ranges(s, SEARCH_TASK)
    for _, (own, found) in engine.imap(search_block, items, shared, k, probes, done=done):
        out.indices[own], out.distances[own] = found
    return out

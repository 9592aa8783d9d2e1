"""The asks of graph methods: a graph of nearest neighbours over the support, geodesics of its rows to landmarks.

The support is every row up to a cap, above it a uniform sample with all landmarks in it: the graph itself is as large
as the support, and that is what bounds memory.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from landmark_ops.errors import InputError, Word
from landmark_ops.neighbors.geodesics import Geodesics, geodesic_support, landmark_geodesics
from landmark_ops.neighbors.graph import NeighborGraph, neighbor_graph
from landmark_ops.neighbors.graph_bytes import graph_bytes
from landmark_ops.numerics.components import Policy
from landmark_ops.numerics.geodesic_block import SUPPORT_ROWS, Geodesic
from landmark_ops.numerics.metric import Metric
from landmark_ops.numerics.random_streams import Stream, generator
from landmark_ops.passes.extension import GEODESIC_ROWS
from landmark_ops.row_range import RowRange
from landmark_ops.selection.usable_rows import usable
from landmark_ops.solver.asks import Source
from landmark_ops.solver.section import Cost, Sizes
from landmark_ops.stores.sources.rows import Rows


class Graph(NamedTuple):
    """The graph, and where the landmarks are in its support, (m,); `whole`: every row of the source is in it."""

    graph: NeighborGraph
    positions: NDArray[np.int64]
    whole: bool


@dataclass(frozen=True)
class AskGraph:
    """Ask for the graph of `n_neighbors` nearest neighbours over at most `max_support` rows."""

    n_neighbors: int
    metric: Metric
    max_support: int

    def answer(self, source: Source) -> Graph:
        """Search, in parallel over the support.

        Raises InputError for landmarks that are no rows of the source.
        """
        landmarks = source.landmark_indices
        if landmarks is None or (landmarks < 0).any():
            raise InputError(
                "graph methods need landmarks that are rows of the source, these are centres or given points: use "
                f"{Word.STRATEGY} uniform, maxmin or given with row numbers"
            )
        support = self._support(source, landmarks)
        size = source.rows.n if support is None else len(support)
        with source.watch("graph", size) as done:
            graph = neighbor_graph(
                source.rows,
                support,
                self.n_neighbors,
                self.metric,
                source.engine,
                seed=source.seed,
                scratch_uri=source.scratch,
                done=done,
            )
        return Graph(graph, np.searchsorted(graph.support_indices, landmarks), support is None)

    def _support(self, source: Source, landmarks: NDArray[np.int64]) -> NDArray[np.int64] | None:
        """Ascending row numbers of the support, None where it is all rows."""
        n = source.rows.n
        there: NDArray[np.int64] | None = None
        if source.skip_bad_rows:
            found = dict(source.engine.imap(usable_block, source.items, source.rows, self.metric))
            there = np.concatenate([found[item] for item in source.items])
            if len(there) == n:
                there = None
        size = n if there is None else len(there)
        if size <= self.max_support:
            return there
        random = generator(source.seed, Stream.GRAPH_SUPPORT)
        drawn = random.choice(size, self.max_support, replace=False, shuffle=False).astype(np.int64)
        return np.union1d(drawn if there is None else there[drawn], landmarks)


def usable_block(item: RowRange, rows: Rows, metric: Metric) -> NDArray[np.int64]:
    """Row numbers of the usable rows of one range."""
    return item[0] + np.flatnonzero(usable(rows.read(*item), metric))


class Measured(NamedTuple):
    """Geodesics of the support to the landmarks, and the block by which new rows get theirs."""

    geodesics: Geodesics
    block: Geodesic


@dataclass(frozen=True, eq=False)
class AskGeodesics:
    """Ask for geodesics along a graph; `policy` says what to do about several components."""

    found: Graph
    policy: Policy

    def answer(self, source: Source) -> Measured:
        """One Dijkstra per landmark, in parallel."""
        graph, positions = self.found.graph, self.found.positions
        scratch = None
        if source.scratch is not None:  # several methods of a run may each have a graph of their own
            scratch = (
                f"{source.scratch}/{graph.metric.name}-{graph.n_neighbors}-{len(graph.support_indices)}-{self.policy}"
            )
        with source.watch("geodesics", len(positions)) as done:
            geodesics = landmark_geodesics(
                graph,
                positions,
                source.engine,
                policy=self.policy,
                scratch_uri=scratch,
                source=source.rows,
                done=done,
            )
        block = geodesic_support(source.rows, graph, geodesics, positions, source.engine, seed=source.seed)
        return Measured(geodesics, block)


def graph_cost(sizes: Sizes, n_neighbors: int, max_support: int) -> Cost:
    """The memory of the graph, and of placing rows by parts of their geodesics.

    To place them, the map and its support are in memory, and hashed.
    """
    graph = graph_bytes(min(sizes.n, max_support), sizes.d, n_neighbors, sizes.m)
    support = min(sizes.n, SUPPORT_ROWS) * (sizes.m + sizes.d) * 4
    return Cost(3 * GEODESIC_ROWS * sizes.m * 4 + 4 * support, graph.worker, graph.flow, graph.scratch)

"""Shortest paths in a neighbour graph: the graph itself, its components, and what to do where there are several.

Graphs are CSR arrays (s, s), symmetric, of which an explicit zero is an edge of length zero: duplicate rows are zero
apart and still neighbours. SciPy's csgraph routines keep such zeros in sparse input, but its sparse arithmetic drops
them, so graphs are put together from index arrays here and never added or compared.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.sparse.csgraph import connected_components, dijkstra

from landmark_ops.errors import InputError
from landmark_ops.numerics.distances import Array

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

Policy = Literal["error", "join", "largest"]
NAMED_SIZES = 5  # component sizes that messages and notes list


@dataclass(frozen=True, eq=False)
class Components:
    """Connected components. labels: (s,) int32, 0 the largest, ties by lowest row; sizes: (c,) descending."""

    labels: NDArray[np.int32]
    sizes: I64

    @property
    def count(self) -> int:
        """c."""
        return len(self.sizes)

    def describe(self) -> str:
        """`3 components of 900, 60 and 40 rows`."""
        if self.count == 1:
            return f"1 component of {self.sizes[0]} rows"
        named = [str(size) for size in self.sizes[:NAMED_SIZES]]
        tail = f" and {self.count - NAMED_SIZES} smaller ones" if self.count > NAMED_SIZES else ""
        listed = ", ".join(named) if tail else f"{', '.join(named[:-1])} and {named[-1]}"
        return f"{self.count} components of {listed} rows{tail}"


class Edges(NamedTuple):
    """Undirected edges: ends `first` and `second` (e,), lengths (e,)."""

    first: I64
    second: I64
    lengths: F64


def symmetric_graph(indices: I64, distances: F64) -> sp.csr_array:
    """Symmetrised neighbour graph, (s, s) CSR float64, of each row's neighbours (s, k): an edge where either is near.

    An edge found from both ends gets the shorter length. Self-edges and entries with index -1 are left out.
    """
    s, k = indices.shape
    first = np.repeat(np.arange(s, dtype=np.int64), k)
    return graph_of(Edges(first, indices.ravel(), distances.ravel()), s)


def graph_of(edges: Edges, s: int) -> sp.csr_array:
    """The symmetric (s, s) CSR graph of undirected edges, repeated ones merged to their shortest."""
    kept = (edges.second >= 0) & (edges.second != edges.first)
    first, second, lengths = edges.first[kept], edges.second[kept], np.asarray(edges.lengths, np.float64)[kept]
    pair = np.minimum(first, second) * s + np.maximum(first, second)
    order = np.argsort(pair, kind="stable")
    pair, lengths = pair[order], lengths[order]
    begins = np.flatnonzero(np.diff(pair, prepend=-1))
    if len(begins):
        pair, lengths = pair[begins], np.minimum.reduceat(lengths, begins)
    low, high = pair // s, pair % s
    number = np.int32 if 2 * len(pair) < np.iinfo(np.int32).max else np.int64
    rows, columns = np.concatenate([low, high]).astype(number), np.concatenate([high, low]).astype(number)
    graph = sp.coo_array((np.concatenate([lengths, lengths]), (rows, columns)), shape=(s, s)).tocsr()
    graph.sort_indices()
    return graph


def edges_of(graph: sp.csr_array) -> Edges:
    """Each undirected edge of a symmetric graph once, explicit zeros included."""
    first = np.repeat(np.arange(graph.shape[0], dtype=np.int64), np.diff(graph.indptr))
    once = first < graph.indices
    return Edges(first[once], graph.indices[once].astype(np.int64), graph.data[once])


def with_edges(graph: sp.csr_array, added: Edges) -> sp.csr_array:
    """The graph with further edges; of repeated ones the shortest stays."""
    here = edges_of(graph)
    return graph_of(Edges(*(np.concatenate(pair) for pair in zip(here, added, strict=True))), graph.shape[0])


def components_of(graph: sp.csr_array) -> Components:
    """Connected components of a symmetric graph, largest first."""
    count, found = connected_components(graph, directed=False)
    sizes = np.bincount(found, minlength=count)
    order = np.argsort(-sizes, kind="stable")  # SciPy numbers components by their first row
    rank = np.empty(count, np.int32)
    rank[order] = np.arange(count, dtype=np.int32)
    return Components(rank[found], sizes[order].astype(np.int64))


def check_policy(policy: str) -> None:
    """Refuse an unknown policy."""
    if policy not in get_args(Policy):
        raise InputError(f"components={policy!r} is unknown, it may be one of {', '.join(get_args(Policy))}")


def refuse_components(components: Components, n_neighbors: int) -> None:
    """The policy `error`: raise InputError where the graph has more than one component."""
    if components.count > 1:
        raise InputError(
            f"the graph of {n_neighbors} neighbours falls into {components.describe()}: no path leads from one to "
            "another, so their distances are infinite: raise n_neighbors, or set components: join (adds the shortest "
            "edges between them) or largest (the rows of all others get no coordinates)"
        )


def shortest_links(components: Components, nearest: I64, lengths: F64, queries: I64) -> Edges:
    """For each component the shortest of the edges that leave it: one round of Borůvka's algorithm.

    queries: (q,) rows; nearest, lengths: (q,) the nearest row outside the component of each. Ties by lowest rows.
    """
    labels = components.labels[queries]
    order = np.lexsort((nearest, queries, lengths, labels))
    chosen = order[np.flatnonzero(np.diff(labels[order], prepend=-1))]
    return Edges(queries[chosen], nearest[chosen], lengths[chosen])


def nearest_outside(tile: F64, query_labels: NDArray[np.int32], labels: NDArray[np.int32]) -> tuple[I64, F64]:
    """Nearest row of another component: column and distance, each (q,), of distances tile (q, b). Inf where none."""
    apart = np.where(query_labels[:, None] == labels[None, :], np.inf, tile)
    column = apart.argmin(axis=1)
    return column.astype(np.int64), apart[np.arange(len(apart)), column]


def geodesics_from(graph: sp.csr_array, sources: I64) -> F64:
    """Shortest path lengths from b rows to all, (b, s) float64, inf where there is no path. Dijkstra 1959.

    `scipy.sparse.csgraph.dijkstra`; as the graph is symmetric it is taken as directed, which spares a transpose.
    """
    return np.asarray(dijkstra(writable(graph), directed=True, indices=sources))


def writable(graph: sp.csr_array) -> sp.csr_array:
    """The graph over arrays that SciPy's Cython takes: arrays sent between processes may arrive read-only."""
    parts = [np.require(part, requirements=["C", "W"]) for part in (graph.data, graph.indices, graph.indptr)]
    return sp.csr_array(tuple(parts), shape=graph.shape)


def symmetric(block: Array) -> F64:
    """The (m, m) geodesics among landmarks made exactly symmetric: sums along a path and back differ by rounding."""
    return np.asarray((block + block.T) / 2, np.float64)

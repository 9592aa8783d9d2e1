"""The neighbour graph itself.

Graphs are CSR arrays (s, s), symmetric, of which an explicit zero is an edge of length zero: duplicate rows are zero
apart and still neighbours. SciPy's csgraph routines keep such zeros in sparse input, but its sparse arithmetic drops
them, so graphs are put together from index arrays here and never added or compared.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]


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

"""Shortest paths along a neighbour graph."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.sparse.csgraph import dijkstra

from landmark_ops.numerics.distances import Array

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]


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

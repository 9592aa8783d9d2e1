"""The pencil of locally linear landmarks, summed over the rows of a graph: of Laplacian eigenmaps, or of LLE.

laplacian   A = D - G, B = D: the graph of neighbours with edges of weight 1, its degrees (Belkin & Niyogi 2003)
lle         A = (I - W)^T (I - W), B = I: rows rebuilt from their neighbours by weights W (Roweis & Saul 2000)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from landmark_ops.numerics.affine_weights import Weights, affine_weights
from landmark_ops.numerics.distances import Array
from landmark_ops.passes.ranges import ranges
from landmark_ops.row_range import RowRange
from landmark_ops.solver.asks import Source
from landmark_ops.solver.geodesic_graph import Graph
from landmark_ops.solver.method import F64
from landmark_ops.stores.sources.rows import Rows

Objective = Literal["laplacian", "lle"]

WEIGHT_ROWS = 4096  # rows per task that weights are found for
PENCIL_ROWS = 1 << 16  # rows whose edges are summed at once


@dataclass(frozen=True)
class AskPencil:
    """Ask for (U^T A U, U^T B U), both (m, m), over the rows of a graph."""

    graph: Graph
    weights: Weights
    Z: Array
    objective: Objective

    def answer(self, source: Source) -> tuple[F64, F64]:
        """Weights in parallel, their products with the graph here, a range of its rows at a time."""
        support = self.graph.graph.support_indices
        s, m = len(support), len(self.Z)
        whole = None if self.graph.whole else support
        with source.watch("weights", s) as done:
            items = ranges(s, WEIGHT_ROWS)
            found = dict(source.engine.imap(weights_block, items, source.rows, whole, self.weights, self.Z, done=done))
        U = sp.vstack([found[item] for item in items], format="csr")
        if self.objective == "laplacian":
            return laplacian_pencil(self.graph.graph.matrix, U)
        near = own_neighbors(self.graph.graph.matrix, self.graph.graph.n_neighbors)
        with source.watch("rebuild", s) as done:
            common = (source.rows, support, near, self.weights.regularization)
            rebuilt = dict(source.engine.imap(rebuild_block, items, *common, done=done))
        A, B = np.zeros((m, m)), np.zeros((m, m))
        for item in items:
            part = U[slice(*item)]
            left = (part - rebuilt[item] @ U).toarray()
            A += left.T @ left
            B += np.asarray((part.T @ part).todense())
        return A, B


def laplacian_pencil(graph: sp.csr_array, U: sp.csr_array) -> tuple[F64, F64]:
    """U^T (D - G) U and U^T D U, with G the graph (s, s) whose edges all weigh 1 and D its degrees; U (s, m)."""
    G = graph.copy()
    G.data = np.ones_like(G.data)  # an explicit zero length is an edge too
    m = U.shape[1]
    A, B = np.zeros((m, m)), np.zeros((m, m))
    degrees = np.asarray(G.sum(axis=1)).ravel()
    for start, stop in ranges(U.shape[0], PENCIL_ROWS):
        part = U[start:stop]
        weighted = part.multiply(degrees[start:stop, None]).tocsr()
        mass = np.asarray((part.T @ weighted).todense())
        B += mass
        A += mass - np.asarray((part.T @ (G[start:stop] @ U)).todense())
    return A, B


def own_neighbors(graph: sp.csr_array, count: int) -> NDArray[np.int64]:
    """The `count` nearest of each support row, (s, count): a symmetrised graph holds those of others besides."""
    rows = np.repeat(np.arange(graph.shape[0]), np.diff(graph.indptr))
    order = np.lexsort((graph.indices, graph.data, rows))
    first = graph.indptr[:-1, None] + np.arange(count)
    return np.asarray(graph.indices[order][first], np.int64)


def rebuild_block(
    item: RowRange, rows: Rows, support: NDArray[np.int64], near: NDArray[np.int64], regularization: float
) -> sp.csr_array:
    """Weights by which support rows item[0]..item[1] are rebuilt from their neighbours, sparse (b, s).

    Roweis & Saul 2000, eq. 2, each with a ridge of `regularization` x trace of its Gram matrix, as in scikit-learn.
    """
    start, stop = item
    own, others = np.arange(start, stop), near[start:stop]
    used = np.unique(np.concatenate([own, others.ravel()]))
    X = rows.take(support[used]).astype(np.float64)
    differences = X[np.searchsorted(used, others)] - X[np.searchsorted(used, own)][:, None, :]
    weights = affine_weights(differences, regularization)
    indptr = np.arange(0, weights.size + 1, weights.shape[1])
    return sp.csr_array((weights.ravel(), others.ravel(), indptr), shape=(stop - start, len(near)))


def weights_block(
    item: RowRange, rows: Rows, indices: NDArray[np.int64] | None, weights: Weights, Z: Array
) -> sp.csr_array:
    """Weights of support rows item[0]..item[1], sparse (b, m)."""
    X = rows.read(*item) if indices is None else rows.take(indices[item[0] : item[1]])
    return sp.csr_array(weights.block(X, Z))

"""Locally linear landmarks: Laplacian eigenmaps in which every row is an affine combination of near landmarks.

Vladymyrov & Carreira-Perpinan, "Locally linear landmarks for large-scale manifold learning", ECML 2013. With U (n, m)
the weights of rows on landmarks and L = D - G the Laplacian of the graph of nearest neighbours (edges of weight 1,
Belkin & Niyogi 2003), the landmarks' coordinates Y minimise tr(Y^T U^T L U Y) subject to Y^T U^T D U Y = I: an m x m
pencil. Any row, old or new, is placed at u(x) Y.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.linalg import eigh

from landmark_ops.blocks.engine import Item
from landmark_ops.blocks.ranges import ranges
from landmark_ops.errors import InputError
from landmark_ops.methods.geodesic_graph import AskGraph, Graph
from landmark_ops.methods.method import F64, KernelChoice, Solution, check_n_components, duplicate_warning
from landmark_ops.methods.solving import Source
from landmark_ops.methods.spectral_embedding import signs_of
from landmark_ops.numerics.affine_weights import Weights
from landmark_ops.numerics.distances import Array, Metric
from landmark_ops.numerics.eigen import symmetric_eigen
from landmark_ops.numerics.geodesics import components_of
from landmark_ops.numerics.landmark_map import LandmarkMap
from landmark_ops.stores.rows import Rows

PENCIL_CUTOFF = 1e-10  # of the largest eigenvalue of U^T D U: directions no row has any weight in
WEIGHT_ROWS = 4096  # rows per task that weights are found for
PENCIL_ROWS = 1 << 16  # rows whose edges are summed at once
LEAST_WEIGHTS = 10


@dataclass(frozen=True)
class AskPencil:
    """Ask for (U^T L U, U^T D U), both (m, m), over the rows of a graph."""

    graph: Graph
    weights: Weights
    Z: Array

    def answer(self, source: Source) -> tuple[F64, F64]:
        """Weights in parallel, their products with the graph here, a range of its rows at a time."""
        support = self.graph.graph.support_indices
        s, m = len(support), len(self.Z)
        whole = None if self.graph.whole else support
        with source.watch("weights", s) as done:
            items = ranges(s, WEIGHT_ROWS)
            found = dict(source.engine.imap(weights_block, items, source.rows, whole, self.weights, self.Z, done=done))
        U = sp.vstack([found[item] for item in items], format="csr")
        G = self.graph.graph.matrix.copy()
        G.data = np.ones_like(G.data)  # an explicit zero length is an edge too
        A, B = np.zeros((m, m)), np.zeros((m, m))
        degrees = np.asarray(G.sum(axis=1)).ravel()
        for start, stop in ranges(s, PENCIL_ROWS):
            part = U[start:stop]
            weighted = part.multiply(degrees[start:stop, None]).tocsr()
            mass = np.asarray((part.T @ weighted).todense())
            B += mass
            A += mass - np.asarray((part.T @ (G[start:stop] @ U)).todense())
        return A, B


def weights_block(
    item: Item, rows: Rows, indices: NDArray[np.int64] | None, weights: Weights, Z: Array
) -> sp.csr_array:
    """Weights of support rows item[0]..item[1], sparse (b, m)."""
    X = rows.read(*item) if indices is None else rows.take(indices[item[0] : item[1]])
    return sp.csr_array(weights.block(X, Z))


@dataclass(frozen=True)
class LocallyLinearLandmarksMethod:
    """Locally linear landmarks as a `Method`; n_weights None takes n_components + 1, and at least 10."""

    n_components: int = 2
    n_neighbors: int = 10
    n_weights: int | None = None
    regularization: float = 1e-3
    max_support: int = 1_000_000

    choice: KernelChoice | None = None
    passes = 2

    def with_gamma(self, gamma: float) -> LocallyLinearLandmarksMethod:
        """No kernel, nothing to fix."""
        return self

    def selection_metric(self) -> Metric:
        """Euclidean, as graph and weights are."""
        return Metric("euclidean")

    def solve(self, Z: Array, dtype: np.dtype[Any]) -> Generator[Any, Any, Solution]:
        """The graph, the pencil, its smallest generalised eigenvalues but the trivial one."""
        m = len(Z)
        count = self.n_weights or max(self.n_components + 1, LEAST_WEIGHTS)
        if count > m:
            raise InputError(f"n_weights={count} exceeds the {m} landmarks: lower n_weights or add landmarks")
        weights = Weights(count, self.regularization)
        found: Graph = yield AskGraph(self.n_neighbors, Metric("euclidean"), self.max_support)
        A, B = yield AskPencil(found, weights, Z)
        mass = symmetric_eigen(B)
        rank = mass.rank(PENCIL_CUTOFF)
        k = check_n_components(
            self.n_components, rank - 1, PENCIL_CUTOFF, (m, Z.shape[1]), "the landmarks' weights beside the constant"
        )
        whiten = mass.vectors[:, :rank] / np.sqrt(mass.values[:rank])
        values, vectors = eigh(whiten.T @ ((A + A.T) / 2) @ whiten)
        readout = whiten @ vectors[:, 1 : k + 1]
        fitted = LandmarkMap(Z, weights, readout, np.zeros(k), None)
        Z64 = np.asarray(Z, np.float64)
        fitted = LandmarkMap(Z, weights, readout * signs_of(fitted(Z64)), np.zeros(k), None)
        components = components_of(found.graph.matrix)
        warnings = duplicate_warning(Z)
        if components.count > 1:
            warnings += (
                f"the graph of neighbours falls apart into {components.describe()}: the first coordinates only tell "
                "these apart; raise n_neighbors",
            )
        # The largest eigenvalue of a normalised Laplacian is 2: 1 - value / 2 orders components as all spectra are.
        closeness = 1 - values / 2
        facts: dict[str, float | str] = {"graph": found.graph.note, "weights per row": float(count)}
        return Solution(fitted, fitted(Z64), closeness[1 : k + 1], closeness, rank, 0.0, PENCIL_CUTOFF, warnings, facts)

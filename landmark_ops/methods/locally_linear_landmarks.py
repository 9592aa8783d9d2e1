"""Locally linear landmarks: Laplacian eigenmaps or LLE in which every row is an affine combination of landmarks.

Vladymyrov & Carreira-Perpinan, "Locally linear landmarks for large-scale manifold learning", ECML 2013. With U (n, m)
the weights of rows on near landmarks, the landmarks' coordinates Y minimise tr(Y^T U^T A U Y) subject to
Y^T U^T B U Y = I, an m x m pencil; `solver/pencil.py` says what A and B are. Any row, old or new, is placed at u(x) Y.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field, PositiveFloat, PositiveInt
from scipy.linalg import eigh

from landmark_ops.errors import InputError
from landmark_ops.maps.landmark_map import LandmarkMap
from landmark_ops.numerics.affine_weights import Weights
from landmark_ops.numerics.components import components_of
from landmark_ops.numerics.distances import Array
from landmark_ops.numerics.eigen import signs_of, symmetric_eigen
from landmark_ops.numerics.metric import Metric
from landmark_ops.solver.geodesic_graph import AskGraph, Graph, graph_cost
from landmark_ops.solver.method import Probe, Solution, WithoutKernel, check_n_components, duplicate_warning
from landmark_ops.solver.pencil import AskPencil, Objective
from landmark_ops.solver.section import METHODS, Cost, MethodSection, Sizes

PENCIL_CUTOFF = 1e-10  # of the largest eigenvalue of U^T B U: directions no row has any weight in
LEAST_WEIGHTS = 10


@dataclass(frozen=True)
class LocallyLinearLandmarksMethod(WithoutKernel):
    """Locally linear landmarks as a `Method`; n_weights None takes n_components + 1, and at least 10."""

    n_components: int = 2
    n_neighbors: int = 10
    n_weights: int | None = None
    regularization: float = 1e-3
    max_support: int = 1_000_000
    objective: Objective = "laplacian"

    passes = 2

    def selection_metric(self, probe: Probe) -> Metric:
        """Euclidean, as graph and weights are."""
        return Metric("euclidean")

    def solve(self, Z: Array, dtype: np.dtype[Any]) -> Generator[Any, Any, Solution]:
        """The graph, the pencil, its smallest generalised eigenvalues but the trivial one.

        Raises InputError for more weights per row than there are landmarks.
        """
        m = len(Z)
        count = self.n_weights or max(self.n_components + 1, LEAST_WEIGHTS)
        if count > m:
            raise InputError(f"n_weights={count} exceeds the {m} landmarks: lower n_weights or add landmarks")
        weights = Weights(count, self.regularization)
        found: Graph = yield AskGraph(self.n_neighbors, Metric("euclidean"), self.max_support)
        A, B = yield AskPencil(found, weights, Z, self.objective)
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
        # Small eigenvalues are the wanted ones, all other spectra descend: 1 - value / 2 of a normalised Laplacian,
        # whose largest eigenvalue is 2, and 1 - value / largest of LLE.
        closeness = 1 - values / (2.0 if self.objective == "laplacian" else float(values[-1]))
        facts: dict[str, float | str] = {"graph": found.graph.note, "weights per row": float(count)}
        return Solution(fitted, fitted(Z64), closeness[1 : k + 1], closeness, rank, 0.0, PENCIL_CUTOFF, warnings, facts)


@METHODS.register
class LocallyLinearLandmarksConfig(MethodSection):
    """Laplacian eigenmaps or locally linear embedding, each row an affine combination of near landmarks."""

    title = "Locally linear landmarks"
    spectrum_of = "the reduced pencil"
    solver = LocallyLinearLandmarksMethod

    name: Literal["locally_linear_landmarks"]
    n_components: PositiveInt = 10
    n_neighbors: PositiveInt = 10
    objective: Objective = "laplacian"
    n_weights: PositiveInt | None = None
    regularization: PositiveFloat = 1e-3
    max_support: Annotated[int, Field(ge=100)] = 1_000_000

    def cost(self, sizes: Sizes) -> Cost:
        """That of its graph."""
        return graph_cost(sizes, self.n_neighbors, self.max_support)

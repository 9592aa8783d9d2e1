"""Landmark Isomap: Landmark MDS of squared geodesics, shortest paths along a graph of nearest neighbours.

de Silva & Tenenbaum, "Global versus local methods in nonlinear dimensionality reduction", NIPS 2002. With every row a
landmark it is Isomap (Tenenbaum, de Silva & Langford 2000). New rows: the shortest way over one of their neighbours.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field, PositiveInt

from landmark_ops.maps.landmark_map import LandmarkMap
from landmark_ops.numerics.callables import Callback, check_callable
from landmark_ops.numerics.components import Policy
from landmark_ops.numerics.distances import Array
from landmark_ops.numerics.metric import METRICS, Metric, dists, metric_before_landmarks, resolve_metric
from landmark_ops.solver.classical_scaling import scale_landmarks, scale_rows
from landmark_ops.solver.geodesic_graph import AskGeodesics, AskGraph, Graph, Measured, graph_cost
from landmark_ops.solver.method import Probe, Solution, WithoutKernel
from landmark_ops.solver.section import METHODS, Cost, MethodSection, Sizes


@dataclass(frozen=True)
class LandmarkIsomapMethod(WithoutKernel):
    """Landmark Isomap as a `Method`."""

    n_components: int = 2
    n_neighbors: int = 10
    metric: str | Callback = "euclidean"
    components: Policy = "error"
    max_support: int = 1_000_000

    passes = 2

    def selection_metric(self, probe: Probe) -> Metric:
        """The metric between rows, V and VI estimated from `probe`."""
        return metric_before_landmarks(self.metric, None, probe)

    def solve(self, Z: Array, dtype: np.dtype[Any]) -> Generator[Any, Any, Solution]:
        """The graph, geodesics from each landmark, classical scaling of those between landmarks.

        Landmarks that the largest component does not reach (policy `largest`) have coordinates NaN.
        """
        metric = resolve_metric(self.metric, None, np.asarray(Z, np.float64))
        if metric.fn is not None:
            check_callable(dists(Z, Z, metric), metric.fn, metric.blockwise, np.asarray(Z, np.float64), {}, "metric")
        found: Graph = yield AskGraph(self.n_neighbors, metric, self.max_support)
        measured: Measured = yield AskGeodesics(found, self.components)
        geodesics, kept = measured.geodesics, measured.geodesics.kept
        solution = scale_landmarks(geodesics.landmark**2, Z[kept], measured.block, self.n_components)
        embedding = np.full((len(Z), solution.embedding.shape[1]), np.nan)
        embedding[kept] = solution.embedding
        facts: dict[str, float | str] = {"graph": found.graph.note, "components": geodesics.note}
        if found.graph.recall is not None:
            facts["graph recall"] = found.graph.recall.value
        return solution._replace(embedding=embedding, facts=facts, blocks=geodesics.rows if found.whole else None)


@METHODS.register
class LandmarkIsomapConfig(MethodSection):
    """Landmark Isomap: Landmark MDS of distances along a graph of nearest neighbours."""

    title = "Landmark Isomap"
    spectrum_of = "the centred geodesics"
    solver = LandmarkIsomapMethod

    name: Literal["landmark_isomap"]
    n_components: PositiveInt = 10
    n_neighbors: PositiveInt = 10
    metric: str = "euclidean"
    components: Policy = "error"
    max_support: Annotated[int, Field(ge=100)] = 1_000_000

    def check_names(self) -> None:
        """InputError for a metric that is unknown."""
        METRICS[self.metric]  # raises

    @property
    def leaves_rows_out(self) -> bool:
        """Whether rows off the largest component of the graph are to be left out."""
        return self.components == "largest"

    def cost(self, sizes: Sizes) -> Cost:
        """That of its graph and the geodesics along it."""
        return graph_cost(sizes, self.n_neighbors, self.max_support)

    def timed_map(self, Z: Array, dtype: np.dtype[Any]) -> LandmarkMap:
        """Landmark MDS with its metric, as if distances were not along a graph."""
        return scale_rows(Z, 1, self.metric).map

"""Spectral clustering of any number of rows: the one-shot spectral embedding, rows at unit length, then k-means.

Ng, Jordan & Weiss, "On spectral clustering", NIPS 2001, on the eigenvectors of Fowlkes et al. 2004. Centroids come
from k-means on a uniform sample of the embedded rows (all of them up to SAMPLE_ROWS), several starts; labels of all
rows, and of new ones, from the nearest centroid.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field, PositiveInt

from landmark_ops.maps.heads import Clusters
from landmark_ops.numerics.clustering import STARTS, kmeans_centroids
from landmark_ops.numerics.distances import Array
from landmark_ops.numerics.kernel import KernelChoice
from landmark_ops.numerics.random_streams import Stream, generator
from landmark_ops.passes.lazy_arrays import map_rows
from landmark_ops.solver.affinity import PASSES, affinity_eigenvectors
from landmark_ops.solver.asks import Draw, Drawn
from landmark_ops.solver.kernel_section import KernelSection
from landmark_ops.solver.method import DEFAULT_KERNEL, Method, OfKernel, Solution
from landmark_ops.solver.section import METHODS, Cost, Sizes

SAMPLE_ROWS = 100_000  # centroids of k dimensions are known to a few hundredths of a cell's width from so many


@dataclass(frozen=True)
class SpectralClusteringMethod(OfKernel):
    """Spectral clustering as a `Method`; n_components None takes as many eigenvectors as clusters."""

    n_clusters: int
    n_components: int | None = None
    kernel: KernelChoice = DEFAULT_KERNEL
    seed: int = 0

    passes = PASSES

    def solve(self, Z: Array, dtype: np.dtype[Any]) -> Generator[Any, Any, Solution]:
        """The embedding, and the centroids of an embedded sample of rows."""
        # In one dimension rows of unit length all coincide: there the second eigenvector is clustered as it is.
        k = self.n_components or self.n_clusters
        solution: Solution = yield from affinity_eigenvectors(self.kernel, k, Z, dtype, trivial=k > 1)
        fitted = replace(solution.map, unit_rows=k > 1)
        drawn: Drawn = yield Draw(SAMPLE_ROWS, Stream.CLUSTERED_ROWS)
        Y = np.asarray(map_rows(drawn.X, fitted), np.float64)
        Y = Y[np.isfinite(Y).all(axis=1)]
        Y = Y[generator(self.seed, Stream.CLUSTER_ORDER).permutation(len(Y))]  # the starts compete on its first part
        centroids, inertia = kmeans_centroids(Y, self.n_clusters, self.seed)
        fitted = replace(fitted, head=Clusters(centroids))
        where = "all rows" if len(Y) == len(drawn.X) < SAMPLE_ROWS else f"{len(Y):,} rows drawn uniformly"
        facts: dict[str, float | str] = {
            **solution.facts,
            "clusters": f"{self.n_clusters}, k-means of {STARTS} starts on {where}",
            "inertia per row": inertia,
        }
        landmarks = fitted(np.asarray(fitted.landmarks, np.float64))
        return solution._replace(map=fitted, embedding=landmarks, facts=facts)


@METHODS.register
class SpectralClusteringConfig(KernelSection):
    """Spectral clustering: the spectral embedding, rows at unit length, and k-means."""

    title = "Spectral clustering"
    spectrum_of = "the normalised affinity"
    grows = False
    solver = SpectralClusteringMethod

    name: Literal["spectral_clustering"]
    n_clusters: Annotated[int, Field(ge=2)] = 8
    n_components: PositiveInt | None = None

    @classmethod
    def method_of(cls, parameters: Mapping[str, Any], seed: int = 0) -> Method:
        """The method, which draws the order of rows that k-means starts in."""
        method = super().method_of(parameters, seed)
        assert isinstance(method, SpectralClusteringMethod)
        return replace(method, seed=seed)

    def width(self, m: int) -> int:
        """As many as clusters where not said."""
        return self.n_components or self.n_clusters

    def cost(self, sizes: Sizes) -> Cost:
        """Beside the sums, coordinates in float64 and distances to the centroids."""
        cost = super().cost(sizes)
        return cost._replace(task=cost.task + sizes.step * (2 * self.width(sizes.m) + 3 * self.n_clusters) * 8)

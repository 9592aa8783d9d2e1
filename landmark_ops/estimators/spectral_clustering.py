"""Spectral clustering as a scikit-learn estimator."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from sklearn.base import ClusterMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from landmark_ops.errors import Edge, speaks
from landmark_ops.estimators.base import LandmarkEstimator
from landmark_ops.methods.spectral_clustering import SpectralClusteringConfig
from landmark_ops.numerics.callables import Callback
from landmark_ops.numerics.distances import Array
from landmark_ops.passes.lazy_arrays import is_lazy, map_lazily, map_rows
from landmark_ops.passes.undefined_rows import refuse_lacking
from landmark_ops.solver.method import Method


class SpectralClustering(ClusterMixin, LandmarkEstimator):
    """Clusters of any shape among any number of rows, and a `predict` for new ones.

    Parameters
    ----------
    n_clusters
        Clusters, c.
    n_components
        Eigenvectors to cluster in; None takes as many as clusters.
    n_landmarks, selection, random_state
        As in `LandmarkMDS`; random_state also decides where k-means starts.
    kernel, gamma, degree, coef0, nu
        As in `Nystroem`.

    Attributes
    ----------
    labels_ : (n,) int32 of the rows fitted, a lazy dask array where they were lazy
    cluster_centers_ : (c, k) among the embedded rows, which are of unit length
    map_, landmarks_, landmark_indices_, landmark_embedding_, eigenvalues_, spectrum_, rank_
        As in `SpectralEmbedding`.

    Examples
    --------
    >>> from sklearn.datasets import make_moons
    >>> X, moon = make_moons(1000, noise=0.05, random_state=0)
    >>> labels = SpectralClustering(2, n_landmarks=100, gamma=20, random_state=0).fit_predict(X)
    >>> len(set(zip(labels.tolist(), moon.tolist())))
    2

    See Also
    --------
    sklearn.cluster.SpectralClustering : the exact method, n x n, without new rows
    """

    section = SpectralClusteringConfig

    def __init__(
        self,
        n_clusters: int = 8,
        *,
        n_components: int | None = None,
        n_landmarks: int = 500,
        selection: str = "uniform",
        kernel: str | Callback = "rbf",
        gamma: float | None = None,
        degree: float = 3.0,
        coef0: float = 1.0,
        nu: float = 1.5,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.n_clusters = n_clusters
        self.n_components = n_components
        self.n_landmarks = n_landmarks
        self.selection = selection
        self.kernel = kernel
        self.gamma = gamma
        self.degree = degree
        self.coef0 = coef0
        self.nu = nu
        self.random_state = random_state

    def method(self) -> Method:
        """The method these parameters describe, with a seed for its k-means."""
        seed = int(check_random_state(self.random_state).randint(np.iinfo(np.int32).max))
        return self.section.method_of(self.get_params(deep=False), seed)

    @speaks(Edge.ESTIMATOR)
    def fit(self, X: Any, y: None = None) -> Self:
        """Select landmarks from the rows X (n, d), embed, cluster a sample; see `LandmarkMDS.fit` for X."""
        super().fit(X)
        self.cluster_centers_ = self.map_.head.centroids  # type: ignore[union-attr]
        self.labels_ = self.predict(X)
        return self

    @speaks(Edge.ESTIMATOR)
    def predict(self, X: Any) -> Any:
        """The cluster of each of the rows X (b, d), (b,) int32; a lazy dask array where X is lazy."""
        check_is_fitted(self, "map_")
        fitted = self.map_

        def labels(block: Array) -> Array:
            placed = fitted.place(block)
            refuse_lacking(placed.embedding, block, fitted, "a block of X")
            return fitted.outputs(placed)["labels"][:, None]

        if is_lazy(X):
            return map_lazily(X, labels, 1, np.dtype(np.int32))[:, 0]
        return map_rows(self._validated(X, reset=False), labels)[:, 0]

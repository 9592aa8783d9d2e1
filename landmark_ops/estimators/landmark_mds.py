"""Landmark MDS as a scikit-learn estimator."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from landmark_ops.estimators.base import LandmarkEstimator
from landmark_ops.methods.landmark_mds import LandmarkMDSConfig
from landmark_ops.numerics.callables import Callback


class LandmarkMDS(LandmarkEstimator):
    """Landmark multidimensional scaling.

    Euclidean distances (and cosine, correlation) cost O(n d k) to embed n rows, any other metric O(n m d).

    Parameters
    ----------
    n_components
        Dimensions of the embedding, k.
    n_landmarks
        Number of landmarks, m; at least k + 1.
    selection
        Strategy choosing them: "uniform", "maxmin", "kmeans", "given" (see `select_landmarks`).
    metric
        Any SciPy or scikit-learn metric name, or a callable: fn(X, Z) -> (b, m), or fn(x, z) -> float on two rows.
        `sqeuclidean`, `cosine` and `correlation` already are squared distances and are not squared again.
    metric_params
        p of minkowski, V of seuclidean, VI of mahalanobis (estimated from the landmarks where left out).
    align
        Rotate onto the principal axes of all rows at the end (one more pass).
    random_state
        Seed of the selection: an int gives the same landmarks whatever the chunking and the number of workers.

    Attributes
    ----------
    map_ : LandmarkMap, the fitted map, small enough to send anywhere
    landmarks_ : (m, d), landmark_indices_ : (m,) int64 row numbers, landmark_embedding_ : (m, k)
    eigenvalues_ : (k,), spectrum_ : (m,), rank_ : int, negative_mass_ : float

    Examples
    --------
    >>> import numpy as np
    >>> X = np.random.default_rng(0).normal(size=(1000, 3)) @ np.ones((3, 20))
    >>> LandmarkMDS(1, n_landmarks=50, random_state=0).fit_transform(X).shape
    (1000, 1)

    See Also
    --------
    sklearn.manifold.ClassicalMDS, sklearn.decomposition.PCA : the exact method, n x n or by SVD
    """

    section = LandmarkMDSConfig

    def __init__(
        self,
        n_components: int = 2,
        *,
        n_landmarks: int = 500,
        selection: str = "uniform",
        metric: str | Callback = "euclidean",
        metric_params: Mapping[str, Any] | None = None,
        align: bool = False,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.n_components = n_components
        self.n_landmarks = n_landmarks
        self.selection = selection
        self.metric = metric
        self.metric_params = metric_params
        self.align = align
        self.random_state = random_state

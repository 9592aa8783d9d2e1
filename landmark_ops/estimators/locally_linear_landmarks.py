"""Locally linear landmarks as a scikit-learn estimator."""

from __future__ import annotations

from typing import Literal

import numpy as np

from landmark_ops.estimators.base import LandmarkEstimator
from landmark_ops.methods.locally_linear_landmarks import LocallyLinearLandmarksConfig


class LocallyLinearLandmarks(LandmarkEstimator):
    """Laplacian eigenmaps or LLE of any number of rows, each an affine combination of near landmarks.

    Parameters
    ----------
    n_components
        Dimensions of the embedding, k.
    n_neighbors
        Neighbours in the graph.
    objective
        "laplacian" keeps neighbours together, Laplacian eigenmaps; "lle" keeps how each row is rebuilt from its
        neighbours, locally linear embedding.
    n_weights
        Landmarks each row is combined of; None takes k + 1, and at least 10.
    regularization
        Ridge of the weights, relative to the trace of their Gram matrix.
    max_support
        Rows the graph is made of, at most; beyond it a uniform sample.
    n_landmarks, selection, random_state
        As in `LandmarkMDS`; landmarks must be rows of X.

    Attributes
    ----------
    map_, landmarks_, landmark_indices_, landmark_embedding_, rank_
        As in `LandmarkMDS`.
    eigenvalues_ : (k,) 1 - l / c of the eigenvalues l of the reduced pencil, so that they descend from 1; c is 2 for
        laplacian, the largest of them for lle

    Examples
    --------
    >>> from sklearn.datasets import make_swiss_roll
    >>> X, _ = make_swiss_roll(1000, random_state=0)
    >>> LocallyLinearLandmarks(2, n_landmarks=200, random_state=0).fit_transform(X).shape
    (1000, 2)

    See Also
    --------
    sklearn.manifold.SpectralEmbedding, sklearn.manifold.LocallyLinearEmbedding : of all rows; the first without new
        ones
    """

    section = LocallyLinearLandmarksConfig

    def __init__(
        self,
        n_components: int = 2,
        *,
        n_neighbors: int = 10,
        objective: Literal["laplacian", "lle"] = "laplacian",
        n_weights: int | None = None,
        regularization: float = 1e-3,
        max_support: int = 1_000_000,
        n_landmarks: int = 500,
        selection: str = "uniform",
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.n_components = n_components
        self.n_neighbors = n_neighbors
        self.objective = objective
        self.n_weights = n_weights
        self.regularization = regularization
        self.max_support = max_support
        self.n_landmarks = n_landmarks
        self.selection = selection
        self.random_state = random_state

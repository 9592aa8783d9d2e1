"""Spectral embedding as a scikit-learn estimator."""

from __future__ import annotations

import numpy as np

from landmark_ops.estimators.base import LandmarkEstimator
from landmark_ops.methods.spectral_embedding import SpectralEmbeddingConfig
from landmark_ops.numerics.callables import Callback


class SpectralEmbedding(LandmarkEstimator):
    """Leading eigenvectors of the normalised affinity, by the one-shot Nystrom method, for any number of rows.

    Differs from scikit-learn's SpectralEmbedding: it has `transform`, the graph is a kernel instead of neighbours, and
    eigenvectors are of unit norm, not divided by the square root of the degrees.

    Parameters
    ----------
    n_components
        Dimensions of the embedding, k; the trivial eigenvector is left out.
    n_landmarks, selection, random_state
        As in `LandmarkMDS`.
    kernel, gamma, degree, coef0, nu
        As in `Nystroem`. A kernel whose values are negative gives no affinity.

    Attributes
    ----------
    map_, landmarks_, landmark_indices_, landmark_embedding_, spectrum_, rank_, negative_mass_
        As in `LandmarkMDS`.
    eigenvalues_ : (k,) of the normalised affinity, at most 1

    Examples
    --------
    >>> import numpy as np
    >>> X = np.random.default_rng(0).normal(size=(300, 4))
    >>> SpectralEmbedding(2, n_landmarks=100, random_state=0).fit_transform(X).shape
    (300, 2)

    See Also
    --------
    sklearn.manifold.SpectralEmbedding : the exact method, n x n, without new rows
    """

    section = SpectralEmbeddingConfig

    def __init__(
        self,
        n_components: int = 2,
        *,
        n_landmarks: int = 500,
        selection: str = "uniform",
        kernel: str | Callback = "rbf",
        gamma: float | None = None,
        degree: float = 3.0,
        coef0: float = 1.0,
        nu: float = 1.5,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.n_components = n_components
        self.n_landmarks = n_landmarks
        self.selection = selection
        self.kernel = kernel
        self.gamma = gamma
        self.degree = degree
        self.coef0 = coef0
        self.nu = nu
        self.random_state = random_state

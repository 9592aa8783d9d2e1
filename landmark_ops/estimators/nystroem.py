"""Nystrom features as a scikit-learn estimator."""

from __future__ import annotations

import numpy as np

from landmark_ops.estimators.base import LandmarkEstimator
from landmark_ops.methods.nystroem import NystroemConfig
from landmark_ops.numerics.callables import Callback


class Nystroem(LandmarkEstimator):
    """Nystrom approximation of a kernel as an explicit feature map.

    Differs from scikit-learn's Nystroem: `n_landmarks` and `n_components` are two numbers, the eigenvalue cutoff is
    relative, features come ordered by eigenvalue, and rows may be chunked arrays larger than memory.

    Parameters
    ----------
    n_components
        Features to keep, k, those of the largest eigenvalues; None keeps the numerical rank.
    n_landmarks, selection, random_state
        As in `LandmarkMDS`.
    kernel
        "rbf", "laplacian", "polynomial", "linear", "sigmoid", "cosine", "chi2", "matern", or a callable:
        fn(X, Z) -> (b, m), or fn(x, z) -> float on two rows.
    gamma
        Bandwidth; None takes it from the median distance between landmarks (see `resolve_kernel`).
    degree, coef0, nu
        Of polynomial, of polynomial and sigmoid, and of matern (0.5, 1.5 or 2.5).

    Attributes
    ----------
    map_, landmarks_, landmark_indices_, landmark_embedding_, eigenvalues_, spectrum_, rank_, negative_mass_
        As in `LandmarkMDS`; eigenvalues are those of the kernel between landmarks.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.random.default_rng(0).normal(size=(200, 3))
    >>> F = Nystroem(n_landmarks=200, kernel="rbf", gamma=0.5).fit_transform(X)
    >>> bool(np.allclose(F @ F.T, np.exp(-0.5 * ((X[:, None] - X) ** 2).sum(-1)), atol=1e-6))
    True
    """

    section = NystroemConfig

    def __init__(
        self,
        n_components: int | None = None,
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

"""Landmark diffusion maps as a scikit-learn estimator."""

from __future__ import annotations

import numpy as np

from landmark_ops.estimators.base import LandmarkEstimator
from landmark_ops.methods.landmark_diffusion_map import LandmarkDiffusionMapConfig
from landmark_ops.numerics.callables import Callback


class LandmarkDiffusionMap(LandmarkEstimator):
    """Diffusion coordinates by way of the landmarks (Roseland), for any number of rows.

    Rows that were fitted and rows that were not are placed by the same formula.

    Parameters
    ----------
    n_components
        Dimensions of the embedding, k; the constant one is left out.
    t
        Steps of diffusion; more of them keep only the coarse shape.
    alpha
        0 sees the density of the rows, 1 the geometry alone (Coifman & Lafon 2006).
    n_landmarks, selection, random_state
        As in `LandmarkMDS`.
    kernel, gamma, degree, coef0, nu
        As in `Nystroem`. Values must not be negative.

    Attributes
    ----------
    map_, landmarks_, landmark_indices_, landmark_embedding_, spectrum_, rank_
        As in `LandmarkMDS`.
    eigenvalues_ : (k,) of the diffusion operator, at most 1

    Examples
    --------
    >>> import numpy as np
    >>> X = np.random.default_rng(0).normal(size=(300, 4))
    >>> LandmarkDiffusionMap(2, n_landmarks=100, random_state=0).fit_transform(X).shape
    (300, 2)
    """

    section = LandmarkDiffusionMapConfig

    def __init__(
        self,
        n_components: int = 2,
        *,
        t: float = 1.0,
        alpha: float = 0.0,
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
        self.t = t
        self.alpha = alpha
        self.n_landmarks = n_landmarks
        self.selection = selection
        self.kernel = kernel
        self.gamma = gamma
        self.degree = degree
        self.coef0 = coef0
        self.nu = nu
        self.random_state = random_state

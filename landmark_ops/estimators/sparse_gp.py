"""Sparse Gaussian process regression as a scikit-learn estimator."""

from __future__ import annotations

from typing import Any, cast

import numpy as np

from landmark_ops.errors import Edge, speaks
from landmark_ops.estimators.supervised import LandmarkRegressor
from landmark_ops.methods.sparse_gp import Approximation, SparseGPConfig
from landmark_ops.numerics.callables import Callback
from landmark_ops.solver.method import Solution


class SparseGPRegressor(LandmarkRegressor):
    """Gaussian process regression from a few landmarks: values with standard errors, for any number of rows.

    One pass over the rows; O(n m^2) to fit and O(m^2) per predicted value with its error.

    Parameters
    ----------
    approximation
        "vfe", the default: errors and evidence are conservative, more landmarks never hurt. "fitc": noise that varies
        with the distance from landmarks. "dtc": mean of vfe, evidence without its penalty. "sor": cheapest prior, its
        errors shrink to the noise far from landmarks, where they should grow.
    n_landmarks, selection, random_state
        As in `LandmarkMDS`.
    kernel, gamma, degree, coef0, nu
        As in `Nystroem`, positive semidefinite ones.
    noise, signal
        Variances in units of y squared: of an observation about the function, and of the function about the mean of
        y. What is None, gamma too, maximises the VFE bound on up to 2,000 rows. Strategies that select by a kernel
        (rpcholesky, leverage) take gamma by the median rule where it is None, and it is then found all the same.

    Attributes
    ----------
    noise_, signal_ : float
    gamma_ : float, None for kernels without one
    log_evidence_ : float, log density of y under the model, its VFE bound where approximation is "vfe"
    map_, landmarks_, landmark_indices_, landmark_embedding_, eigenvalues_, spectrum_, rank_, negative_mass_
        As in `Nystroem`; the embedding is the predicted value, about the mean and in units of sqrt(signal_).

    Examples
    --------
    >>> import numpy as np
    >>> random = np.random.default_rng(0)
    >>> X = random.uniform(-3, 3, (1000, 1))
    >>> y = np.sin(2 * X[:, 0]) + 0.1 * random.normal(size=1000)
    >>> model = SparseGPRegressor(n_landmarks=30, random_state=0).fit(X, y)
    >>> mean, std = model.predict([[0.5], [30.0]], return_std=True)
    >>> bool(abs(mean[0] - np.sin(1)) < 0.05 and std[1] > 5 * std[0])
    True

    See Also
    --------
    sklearn.gaussian_process.GaussianProcessRegressor : the exact process, n x n
    """

    section = SparseGPConfig

    def __init__(
        self,
        *,
        approximation: Approximation = "vfe",
        n_landmarks: int = 500,
        selection: str = "uniform",
        kernel: str | Callback = "rbf",
        gamma: float | None = None,
        degree: float = 3.0,
        coef0: float = 1.0,
        nu: float = 1.5,
        noise: float | None = None,
        signal: float | None = None,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.approximation = approximation
        self.n_landmarks = n_landmarks
        self.selection = selection
        self.kernel = kernel
        self.gamma = gamma
        self.degree = degree
        self.coef0 = coef0
        self.nu = nu
        self.noise = noise
        self.signal = signal
        self.random_state = random_state

    @speaks(Edge.ESTIMATOR)
    def predict(self, X: Any, return_std: bool = False) -> Any:
        """Values (b,) of rows X (b, d), and the standard errors (b,) of new observations there; lazy where X is."""
        if not return_std:
            return super().predict(X)
        both = self._predicted(X, ("prediction", "std"))
        return both[:, 0], both[:, 1]

    def _finish(self, solution: Solution) -> None:
        facts = solution.facts
        self.noise_ = cast(float, facts["noise variance"])
        self.signal_ = cast(float, facts["signal variance"])
        self.gamma_ = cast("float | None", facts.get("gamma"))
        self.log_evidence_ = cast(float, facts["VFE bound" if self.approximation == "vfe" else "log evidence"])

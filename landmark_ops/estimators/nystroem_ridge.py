"""Ridge regression and classification on Nystrom features as scikit-learn estimators."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import numpy as np

from landmark_ops.estimators.supervised import LandmarkClassifier, LandmarkRegressor
from landmark_ops.methods.nystroem_ridge import NystroemRidgeConfig, NystroemRidgeMethod, Task
from landmark_ops.numerics.callables import Callback
from landmark_ops.solver.method import Method, Solution


class NystroemRidge(LandmarkRegressor):
    """Kernel ridge regression from a few landmarks, for any number of rows.

    One pass over the rows; O(n m^2) to fit and O(m) per predicted value.

    Parameters
    ----------
    alpha
        Weight of |beta|^2 against the sum of squared errors, positive: that of KernelRidge, whatever n and m.
    fit_intercept
        Whether a constant is learned beside the features, without penalty. False: with every row a landmark this is
        KernelRidge(alpha).
    n_landmarks, selection, random_state
        As in `LandmarkMDS`.
    kernel, gamma, degree, coef0, nu
        As in `Nystroem`.

    Attributes
    ----------
    effective_dof_ : float, trace of the matrix that takes y to its predictions, of at most m + 1
    gcv_rmse_ : float, error by generalised cross-validation, for choosing alpha and n_landmarks
    map_, landmarks_, landmark_indices_, landmark_embedding_, eigenvalues_, spectrum_, rank_, negative_mass_
        As in `Nystroem`; the embedding is the predicted value, about the mean and in units of the deviation of y.

    Examples
    --------
    >>> import numpy as np
    >>> random = np.random.default_rng(0)
    >>> X = random.uniform(-3, 3, (1000, 1))
    >>> y = np.sin(2 * X[:, 0]) + 0.1 * random.normal(size=1000)
    >>> bool(NystroemRidge(n_landmarks=30, gamma=1.0, alpha=0.01, random_state=0).fit(X, y).score(X, y) > 0.97)
    True

    See Also
    --------
    sklearn.kernel_ridge.KernelRidge : the exact method, n x n
    """

    section = NystroemRidgeConfig

    def __init__(
        self,
        *,
        alpha: float = 1.0,
        fit_intercept: bool = True,
        n_landmarks: int = 500,
        selection: str = "uniform",
        kernel: str | Callback = "rbf",
        gamma: float | None = None,
        degree: float = 3.0,
        coef0: float = 1.0,
        nu: float = 1.5,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.alpha = alpha
        self.fit_intercept = fit_intercept
        self.n_landmarks = n_landmarks
        self.selection = selection
        self.kernel = kernel
        self.gamma = gamma
        self.degree = degree
        self.coef0 = coef0
        self.nu = nu
        self.random_state = random_state

    def method(self) -> Method:
        """The method these parameters describe."""
        return method_of(self, "regression")

    def _finish(self, solution: Solution) -> None:
        self.effective_dof_ = cast(float, solution.facts["effective degrees of freedom"])
        self.gcv_rmse_ = cast(float, solution.facts.get("RMSE by generalised cross-validation", np.nan))


class NystroemRidgeClassifier(LandmarkClassifier):
    """Classification by one kernel ridge per class from a few landmarks; the largest score wins.

    Parameters
    ----------
    alpha, fit_intercept, n_landmarks, selection, kernel, gamma, degree, coef0, nu, random_state
        As in `NystroemRidge`; the targets are 1 for rows of the class and -1 for others, as in RidgeClassifier.

    Attributes
    ----------
    classes_ : (c,), the labels met, ascending
    effective_dof_ : float, per class
    map_, landmarks_, landmark_indices_, landmark_embedding_, eigenvalues_, spectrum_, rank_, negative_mass_
        As in `Nystroem`; the embedding is one score per class.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> X, y = load_digits(return_X_y=True)
    >>> model = NystroemRidgeClassifier(n_landmarks=300, alpha=0.01, random_state=0).fit(X[:1200], y[:1200])
    >>> bool(model.score(X[1200:], y[1200:]) > 0.93)
    True
    """

    section = NystroemRidgeConfig

    def __init__(
        self,
        *,
        alpha: float = 1.0,
        fit_intercept: bool = True,
        n_landmarks: int = 500,
        selection: str = "uniform",
        kernel: str | Callback = "rbf",
        gamma: float | None = None,
        degree: float = 3.0,
        coef0: float = 1.0,
        nu: float = 1.5,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.alpha = alpha
        self.fit_intercept = fit_intercept
        self.n_landmarks = n_landmarks
        self.selection = selection
        self.kernel = kernel
        self.gamma = gamma
        self.degree = degree
        self.coef0 = coef0
        self.nu = nu
        self.random_state = random_state

    def method(self) -> Method:
        """The method these parameters describe."""
        return method_of(self, "classification")

    def _finish(self, solution: Solution) -> None:
        super()._finish(solution)
        self.effective_dof_ = cast(float, solution.facts["effective degrees of freedom"])


def method_of(estimator: NystroemRidge | NystroemRidgeClassifier, task: Task) -> Method:
    """The method of its parameters for a task; `fit_intercept` is no key of a config, which always has one."""
    parameters = {**estimator.get_params(deep=False), "task": task}
    method = NystroemRidgeConfig.method_of(parameters)
    assert isinstance(method, NystroemRidgeMethod)
    return replace(method, intercept=estimator.fit_intercept)

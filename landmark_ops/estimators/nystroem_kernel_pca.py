"""Nystrom kernel PCA as a scikit-learn estimator."""

from __future__ import annotations

import numpy as np

from landmark_ops.estimators.base import LandmarkEstimator
from landmark_ops.methods.nystroem_kernel_pca import NystroemKernelPCAConfig
from landmark_ops.numerics.callables import Callback


class NystroemKernelPCA(LandmarkEstimator):
    """Kernel PCA from a few landmarks, for any number of rows.

    Parameters
    ----------
    n_components
        Dimensions of the embedding, k.
    n_landmarks, selection, random_state
        As in `LandmarkMDS`.
    kernel, gamma, degree, coef0, nu
        As in `Nystroem`.

    Attributes
    ----------
    map_, landmarks_, landmark_indices_, landmark_embedding_, eigenvalues_, spectrum_, rank_, negative_mass_
        As in `LandmarkMDS`; eigenvalues are variances of all rows along the components.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.random.default_rng(0).normal(size=(300, 4))
    >>> NystroemKernelPCA(2, n_landmarks=100, random_state=0).fit_transform(X).shape
    (300, 2)

    See Also
    --------
    sklearn.decomposition.KernelPCA : the exact method, n x n
    """

    section = NystroemKernelPCAConfig

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

"""Nystrom feature map: explicit features whose inner products are the best kernel the landmarks can express.

Williams & Seeger, "Using the Nystrom method to speed up kernel machines", NIPS 2000.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from landmark_ops.errors import InputError
from landmark_ops.methods.estimator import LandmarkEstimator
from landmark_ops.methods.method import Method, Solution, check_n_components, duplicate_warning
from landmark_ops.numerics.distances import Array, Callback, Metric
from landmark_ops.numerics.eigen import symmetric_eigen
from landmark_ops.numerics.kernels import ALIASES, kernel_block, resolve_kernel
from landmark_ops.numerics.landmark_map import LandmarkMap
from landmark_ops.numerics.moments import Moments

#: The distance in which landmarks are spread for each kernel: one the kernel falls monotonically with, if any.
SELECTION_METRICS = {"laplacian": "cityblock", "cosine": "cosine"}


@dataclass(frozen=True)
class NystroemMethod:
    """The Nystrom feature map as a `Method`."""

    n_components: int | None = None
    kernel: str | Callback = "rbf"
    gamma: float | None = None
    degree: float = 3.0
    coef0: float = 1.0
    nu: float = 1.5

    needs_moments = False

    def selection_metric(self) -> Metric:
        """City-block for laplacian, cosine for cosine, Euclidean for the others."""
        if callable(self.kernel):
            return Metric("euclidean")
        return Metric(SELECTION_METRICS.get(ALIASES.get(self.kernel, self.kernel), "euclidean"))

    def start(self, Z: Array, dtype: np.dtype[Any]) -> Solution:
        """Eigendecompose W = k(Z, Z) = V L V^T; features f(x) = k(x, Z) V L^-1/2, so f(x).f(y) = c_x W^+ c_y^T.

        Directions with an eigenvalue below m * eps(dtype) of the largest are dropped: the block computed in `dtype`
        is noise there, and an absolute cutoff instead makes float32 errors grow with m.
        """
        Z64 = np.asarray(Z, np.float64)
        kernel = resolve_kernel(self.kernel, Z64, gamma=self.gamma, degree=self.degree, coef0=self.coef0, nu=self.nu)
        W = np.asarray(kernel_block(Z64, Z64, kernel), np.float64)
        if not np.isfinite(W).all():
            raise InputError(
                f"kernel {kernel.name}: undefined on {int((~np.isfinite(W)).any(axis=1).sum())} of {len(Z)} landmarks "
                "(zero rows have no direction under cosine; large rows overflow polynomial): scale or clean the source"
            )
        cutoff = len(Z) * float(np.finfo(dtype).eps)
        spectrum = symmetric_eigen(W)
        rank = spectrum.rank(cutoff)
        if rank == 0:
            raise InputError(f"kernel {kernel.name}: all its values between the {len(Z)} landmarks are zero")
        k = check_n_components(self.n_components, rank, cutoff, (len(Z), Z.shape[1]), f"the {kernel.name} kernel")
        values, vectors = spectrum.values[:k], spectrum.vectors[:, :k]
        fitted = LandmarkMap(
            Z, kernel, vectors / np.sqrt(values), np.zeros(k), residual_weights=np.zeros(len(Z)), self_term=True
        )
        warnings = duplicate_warning(Z)
        if spectrum.negative_mass > 1e-6:
            warnings += (
                f"kernel {kernel.name} is not positive semidefinite on the landmarks: {spectrum.negative_mass:.1%} of "
                "its spectrum is negative and was dropped",
            )
        return Solution(
            fitted, vectors * np.sqrt(values), values, spectrum.values, rank, spectrum.negative_mass, cutoff, warnings
        )

    def finish(self, solution: Solution, moments: Moments) -> Solution:
        """Nothing is left to do."""
        return solution


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

    def method(self) -> Method:
        """The method these parameters describe."""
        return NystroemMethod(self.n_components, self.kernel, self.gamma, self.degree, self.coef0, self.nu)

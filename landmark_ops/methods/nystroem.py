"""Nystrom feature map: explicit features whose inner products are the best kernel the landmarks can express.

Williams & Seeger, "Using the Nystrom method to speed up kernel machines", NIPS 2000.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from landmark_ops.errors import InputError
from landmark_ops.methods.method import Solution, check_n_components, duplicate_warning
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

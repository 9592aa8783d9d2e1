"""Nystrom feature map: explicit features whose inner products are the best kernel the landmarks can express.

Williams & Seeger, "Using the Nystrom method to speed up kernel machines", NIPS 2000.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from landmark_ops.errors import InputError
from landmark_ops.maps.landmark_map import LandmarkMap
from landmark_ops.methods.landmark_mds import check_precomputed
from landmark_ops.methods.method import (
    KernelChoice,
    Probe,
    Solution,
    check_n_components,
    duplicate_warning,
    landmark_kernel,
    negative_warning,
)
from landmark_ops.numerics.distances import Array, Callback, Metric
from landmark_ops.numerics.eigen import symmetric_eigen


@dataclass(frozen=True)
class NystroemMethod:
    """The Nystrom feature map as a `Method`."""

    n_components: int | None = None
    kernel: str | Callback = "rbf"
    gamma: float | None = None
    degree: float = 3.0
    coef0: float = 1.0
    nu: float = 1.5

    passes = 0

    @property
    def choice(self) -> KernelChoice:
        """The kernel's part of the parameters."""
        return KernelChoice(self.kernel, self.gamma, self.degree, self.coef0, self.nu)

    def with_gamma(self, gamma: float) -> NystroemMethod:
        """The same with this bandwidth."""
        return replace(self, gamma=gamma)

    def selection_metric(self, probe: Probe) -> Metric:
        """City-block for laplacian, cosine for cosine, Euclidean for the others."""
        return self.choice.selection_metric()

    def solve(self, Z: Array, dtype: np.dtype[Any]) -> Generator[Any, Any, Solution]:
        """The landmarks are all it takes."""
        yield from ()
        return self.start(Z, dtype)

    def start(self, Z: Array, dtype: np.dtype[Any]) -> Solution:
        """Eigendecompose W = k(Z, Z) = V L V^T; features f(x) = k(x, Z) V L^-1/2, so f(x).f(y) = c_x W^+ c_y^T.

        Directions with an eigenvalue below m * eps(dtype) of the largest are dropped: the block computed in `dtype`
        is noise there, and an absolute cutoff instead makes float32 errors grow with m.
        """
        Z64 = np.asarray(Z, np.float64)
        kernel = self.choice.resolve(Z64)
        given = kernel.name == "precomputed"
        if given:
            check_precomputed(Z64, "kernel")
        W = landmark_kernel(kernel, Z64)
        cutoff = len(Z) * float(np.finfo(dtype).eps)
        spectrum = symmetric_eigen(W)
        rank = spectrum.rank(cutoff)
        if rank == 0:
            raise InputError(f"kernel {kernel.name}: no eigenvalue between the {len(Z)} landmarks is positive")
        k = check_n_components(self.n_components, rank, cutoff, (len(Z), Z.shape[1]), f"the {kernel.name} kernel")
        values, vectors = spectrum.values[:k], spectrum.vectors[:, :k]
        # k(x, x) is not among precomputed values: no residual
        weights = None if given else np.zeros(len(Z))
        fitted = LandmarkMap(Z, kernel, vectors / np.sqrt(values), np.zeros(k), weights, self_term=not given)
        warnings = duplicate_warning(Z) + negative_warning(kernel, spectrum.negative_mass)
        return Solution(
            fitted, vectors * np.sqrt(values), values, spectrum.values, rank, spectrum.negative_mass, cutoff, warnings
        )

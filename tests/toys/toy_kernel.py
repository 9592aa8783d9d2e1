"""A kernel: 1 / (1 + gamma |x - z|^2), `rational`, known by the alias `cauchy` too; of rows up to 1,000."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from landmark_ops.numerics.bandwidth import median_gamma
from landmark_ops.numerics.distances import Array, euclidean, sq_euclidean
from landmark_ops.numerics.domains import Domain
from landmark_ops.numerics.kernel import KERNELS, Kernel, KernelFamily


class Rational(KernelFamily):
    name = "rational"
    aliases = ("cauchy",)
    parameters = ("gamma",)
    never_negative = True
    domain = Domain(
        lambda X: np.asarray((np.abs(X) <= 1000).all(axis=1)), "are too far out for kernel rational", "bring them in"
    )

    def block(self, X: Array, Z: Array, kernel: Kernel) -> Array:
        return np.asarray(1 / (1 + kernel.gamma * sq_euclidean(X, Z)))

    def default_gamma(self, Z: NDArray[np.float64]) -> float:
        return median_gamma(self.name, Z, euclidean)


RATIONAL = KERNELS.register(Rational())

"""exp(-gamma |x - z|_1), in city-block distance."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

from landmark_ops.numerics.bandwidth import median_gamma
from landmark_ops.numerics.distances import Array
from landmark_ops.numerics.kernel import KERNELS, Kernel, KernelFamily


class Laplacian(KernelFamily):
    """1 / s for gamma, with s the median city-block distance."""

    name = "laplacian"
    parameters = ("gamma",)
    geometry = "cityblock"
    never_negative = True

    def block(self, X: Array, Z: Array, kernel: Kernel) -> Array:
        """In float64, as SciPy computes it."""
        return np.exp(-kernel.gamma * cityblock(X, Z))

    def default_gamma(self, Z: NDArray[np.float64]) -> float:
        """The median rule."""
        return median_gamma(self.name, Z, cityblock)


def cityblock(X: Array, Z: Array) -> NDArray[np.float64]:
    """Sums of absolute differences, (b, m)."""
    return cdist(np.asarray(X, np.float64), np.asarray(Z, np.float64), "cityblock")


KERNELS.register(Laplacian())

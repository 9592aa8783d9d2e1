"""tanh(gamma x.z + coef0)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from landmark_ops.numerics.distances import Array
from landmark_ops.numerics.dot_kernel import DotKernel, gamma_by_width
from landmark_ops.numerics.kernel import KERNELS, Kernel


class Sigmoid(DotKernel):
    """1 / d for gamma."""

    name = "sigmoid"
    parameters = ("gamma", "coef0")
    roughly = True
    covariance = False
    bounded = True

    def of_products(self, products: Array, kernel: Kernel) -> Array:
        """Between -1 and 1."""
        return np.asarray(np.tanh(kernel.gamma * products + kernel.coef0).astype(products.dtype))

    def default_gamma(self, Z: NDArray[np.float64]) -> float:
        """By the number of features."""
        return gamma_by_width(Z)


KERNELS.register(Sigmoid())

"""(gamma x.z + coef0)^degree."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from landmark_ops.errors import InputError
from landmark_ops.numerics.distances import Array
from landmark_ops.numerics.domains import Words
from landmark_ops.numerics.dot_kernel import DotKernel, gamma_by_width
from landmark_ops.numerics.kernel import KERNELS, Kernel, KernelChoice


class Polynomial(DotKernel):
    """1 / d for gamma."""

    name = "polynomial"
    aliases = ("poly",)
    parameters = ("gamma", "degree", "coef0")
    roughly = True

    def of_products(self, products: Array, kernel: Kernel) -> Array:
        """NaN for a negative number to a fractional degree."""
        return np.asarray(np.power(kernel.gamma * products + kernel.coef0, kernel.degree).astype(products.dtype))

    def default_gamma(self, Z: NDArray[np.float64]) -> float:
        """By the number of features."""
        return gamma_by_width(Z)

    def check(self, choice: KernelChoice, Z: Array) -> None:
        """No negative degree.

        Raises InputError otherwise.
        """
        if choice.degree < 0:
            raise InputError(f"degree={choice.degree} for kernel polynomial: must not be negative")

    def not_a_number(self, kernel: Kernel) -> Words | None:
        """A fractional degree takes no negative number."""
        if kernel.degree % 1 == 0:
            return None
        return Words(
            "give {block} a negative number to raise to a fractional degree", "choose a whole degree, or a larger coef0"
        )


KERNELS.register(Polynomial())

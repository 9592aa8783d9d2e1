"""x.z."""

from __future__ import annotations

from landmark_ops.numerics.distances import Array
from landmark_ops.numerics.dot_kernel import DotKernel
from landmark_ops.numerics.kernel import KERNELS, Kernel


class Linear(DotKernel):
    """The product itself."""

    name = "linear"
    transform = "none"

    def of_products(self, products: Array, kernel: Kernel) -> Array:
        """As they are."""
        return products


KERNELS.register(Linear())

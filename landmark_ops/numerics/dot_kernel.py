"""Kernels that are functions of x.z: linear, polynomial, sigmoid."""

from __future__ import annotations

from abc import abstractmethod

import numpy as np
from numpy.typing import NDArray

from landmark_ops.numerics.distances import Array
from landmark_ops.numerics.kernel import Kernel, KernelFamily
from landmark_ops.numerics.ranges import squares_fit


class DotKernel(KernelFamily):
    """In float32 where products and powers stay within its range, else in float64; Inf where that is too small too."""

    overflows = True
    #: Whether values stay within 1, however large the products.
    bounded = False

    @abstractmethod
    def of_products(self, products: Array, kernel: Kernel) -> Array:
        """The values for products x.z of any shape, in their dtype."""

    def block(self, X: Array, Z: Array, kernel: Kernel) -> Array:
        """The kernel of rows X (b, d) with Z (m, d), (b, m)."""
        return self._values(X, Z, kernel)

    def diagonal(self, X: Array, kernel: Kernel) -> Array:
        """The kernel of rows X (b, d) with themselves, (b,)."""
        return self._values(X, None, kernel)

    def _values(self, X: Array, Z: Array | None, kernel: Kernel) -> Array:
        with np.errstate(over="ignore", under="ignore", invalid="ignore"):
            products = np.einsum("ij,ij->i", X, X) if Z is None else X @ Z.T.astype(X.dtype)
            values = self.of_products(products, kernel)
            single = in_single(products, X) and (self.bounded or in_single(values, X))
            return values if X.dtype != np.float32 or single else self._values(X.astype(np.float64), Z, kernel)


def in_single(values: Array, X: Array) -> bool:
    """Whether products of float32 rows are within float32's range: neither huge, nor underflown where X is not 0."""
    top = float(np.abs(values).max(initial=0))
    return squares_fit(top, values.dtype) or (top == 0 and not X.any())


def gamma_by_width(Z: NDArray[np.float64]) -> float:
    """1 / d, of rows Z (m, d)."""
    return 1.0 / Z.shape[1]

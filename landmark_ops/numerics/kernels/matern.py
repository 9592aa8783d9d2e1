"""The Matern kernel of order nu in r = gamma |x - z|."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from landmark_ops.errors import InputError
from landmark_ops.numerics.bandwidth import median_gamma, scaled
from landmark_ops.numerics.distances import Array, euclidean
from landmark_ops.numerics.kernel import KERNELS, Kernel, KernelChoice, KernelFamily

NUS = (0.5, 1.5, 2.5)


class Matern(KernelFamily):
    """Gamma is 1 / length-scale: 1 / s, with s the median distance."""

    name = "matern"
    parameters = ("gamma", "nu")
    never_negative = True
    overflows = True

    def block(self, X: Array, Z: Array, kernel: Kernel) -> Array:
        """Rasmussen & Williams 2006, eqs. 4.14-4.17."""
        r = scaled(euclidean(X, Z), kernel.gamma)
        if kernel.nu == 0.5:
            return np.exp(-r)
        # Beyond 1e4 the exponential is 0, and s^2 of an infinite s would make it NaN.
        s = np.minimum(np.sqrt(2 * kernel.nu).astype(r.dtype) * r, r.dtype.type(1e4))
        return np.asarray((1 + s if kernel.nu == 1.5 else 1 + s + s * s / 3) * np.exp(-s))

    def default_gamma(self, Z: NDArray[np.float64]) -> float:
        """The median rule."""
        return median_gamma(self.name, Z, euclidean)

    def check(self, choice: KernelChoice, Z: Array) -> None:
        """The orders that have a closed form.

        Raises InputError for any other.
        """
        if choice.nu not in NUS:
            raise InputError(f"nu={choice.nu} for kernel matern: must be one of {', '.join(map(str, NUS))}")


KERNELS.register(Matern())

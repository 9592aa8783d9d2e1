"""exp(-gamma sum (x - z)^2 / (x + z)), between histograms."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from landmark_ops.errors import InputError
from landmark_ops.numerics.bandwidth import median_gamma
from landmark_ops.numerics.distances import Array
from landmark_ops.numerics.domains import Domain, not_negative
from landmark_ops.numerics.kernel import KERNELS, Kernel, KernelChoice, KernelFamily


class Chi2(KernelFamily):
    """1 / s for gamma, with s the median of its own distance."""

    name = "chi2"
    parameters = ("gamma",)
    roughly = True
    never_negative = True
    domain = Domain(
        not_negative,
        "hold negative values, kernel chi2 is defined for histograms (>= 0)",
        "choose another, or clean the source",
    )

    def block(self, X: Array, Z: Array, kernel: Kernel) -> Array:
        """In float64."""
        return np.exp(-kernel.gamma * additive_chi2(X, Z))

    def default_gamma(self, Z: NDArray[np.float64]) -> float:
        """The median rule."""
        return median_gamma(self.name, Z, additive_chi2)

    def check(self, choice: KernelChoice, Z: Array) -> None:
        """No negative values.

        Raises InputError otherwise.
        """
        negative = ~not_negative(Z)
        if negative.any():
            raise InputError(
                f"kernel chi2: {int(negative.sum())} of {len(Z)} landmarks hold negative values, it is defined for "
                "histograms (>= 0): choose another kernel, or clean the source"
            )


def additive_chi2(X: Array, Z: Array) -> NDArray[np.float64]:
    """Sum over features of (x - z)^2 / (x + z), with 0/0 = 0; (b, m) float64."""
    X, Z = np.asarray(X, np.float64), np.asarray(Z, np.float64)
    out = np.zeros((len(X), len(Z)))
    for x, z in zip(X.T, Z.T, strict=True):  # one feature at a time keeps temporaries at (b, m)
        total = x[:, None] + z[None, :]
        difference = x[:, None] - z[None, :]
        share = np.divide(difference, total, out=np.zeros_like(total), where=total != 0)
        out += np.multiply(difference, share, out=share)  # squares might overflow where this does not
    return out


KERNELS.register(Chi2())

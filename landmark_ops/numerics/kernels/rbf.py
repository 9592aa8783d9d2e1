"""exp(-gamma |x - z|^2), the Gaussian kernel."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from landmark_ops.numerics.bandwidth import median_gamma, scaled
from landmark_ops.numerics.distances import Array, euclidean, sq_euclidean
from landmark_ops.numerics.kernel import KERNELS, Kernel, KernelFamily

F64 = NDArray[np.float64]

# Above these values of gamma |z|^2 the one product for the exponent errs by more than 1e-6 (float64) or 1e-5 (float32)
# of values that are not faint: distances are then computed with care for near pairs.
FUSED_LIMIT = {np.dtype(np.float32): 32.0, np.dtype(np.float64): 1e8}


class Rbf(KernelFamily):
    """1 / (2 s^2) for gamma, with s the median distance."""

    name = "rbf"
    aliases = ("gaussian",)
    parameters = ("gamma",)
    never_negative = True
    overflows = True

    def block(self, X: Array, Z: Array, kernel: Kernel) -> Array:
        """In the dtype of X, or in float64 where float32 does not hold the squares or gamma."""
        exponents = scaled(sq_euclidean(X, Z), -kernel.gamma)
        return np.exp(exponents, out=exponents)

    def default_gamma(self, Z: F64) -> float:
        """The median rule."""
        return median_gamma(self.name, Z, euclidean, lambda median: 1 / (2 * median**2))

    def prepare(self, Z: F64, kernel: Kernel, dtype: np.dtype[Any]) -> Callable[[Array], Array] | None:
        """One product for the whole exponent, where that rounds no more than distances do."""
        fused = FusedRbf(Z, kernel.gamma, dtype)
        return fused if fused.reach < FUSED_LIMIT[dtype] else None


@dataclass(eq=False)
class FusedRbf:
    """RBF blocks with the whole exponent in one matrix product.

    -gamma |x - z|^2 = [x, |x|^2, 1] @ [2 gamma z; -gamma; -gamma |z|^2], rows centred on the landmark mean. The
    separate additions and the copy they need would cost a quarter of the time. Rounding may leave an exponent
    of +1e-6, a kernel value of 1 + 1e-6.
    """

    landmarks: F64
    gamma: float
    dtype: np.dtype[Any]
    center: Array = field(init=False)
    factor: Array = field(init=False)
    reach: float = field(init=False)

    def __post_init__(self) -> None:
        # Rows and landmarks are centred on the same point, rounding included: at an offset of 1e4 float32 rounds the
        # mean by 5e-4.
        self.center = self.landmarks.mean(axis=0).astype(self.dtype)
        Z = self.landmarks - self.center.astype(np.float64)
        exponents = self.gamma * np.einsum("ij,ij->i", Z, Z)
        self.reach = float(exponents.max())
        rows = [2 * self.gamma * Z.T, np.full((1, len(Z)), -self.gamma), -exponents[None, :]]
        with np.errstate(over="ignore"):  # no map is computed in float32 then
            self.factor = np.ascontiguousarray(np.vstack(rows).astype(self.dtype))

    def __call__(self, X: Array) -> Array:
        """The (b, m) kernel block."""
        d = X.shape[1]
        augmented = np.empty((len(X), d + 2), self.dtype)
        np.subtract(X, self.center, out=augmented[:, :d])
        np.vecdot(augmented[:, :d], augmented[:, :d], out=augmented[:, d])
        augmented[:, d + 1] = 1
        out = augmented @ self.factor
        return np.exp(out, out=out)


KERNELS.register(Rbf())

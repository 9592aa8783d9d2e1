"""Blocks of the RBF kernel with the whole exponent in one matrix product."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from landmark_ops.numerics.distances import Array

F64 = NDArray[np.float64]

# Above these values of gamma |z|^2 the one product for the exponent errs by more than 1e-6 (float64) or, with FAINT,
# 1e-5 (float32): distances are then computed with care for near pairs.
FUSED_LIMIT = {np.dtype(np.float32): 32.0, np.dtype(np.float64): 1e8}


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

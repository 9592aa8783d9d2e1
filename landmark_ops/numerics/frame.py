"""How rows become the float32 that faiss takes."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from landmark_ops.numerics.distances import Array

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]

NEAR_ORIGIN = 4.0  # rows are centred for the approximate search where |mean|^2 exceeds so many times their spread


class Frame(NamedTuple):
    """How prepared rows become faiss's float32: (x - center) * scale. center: (d,); scale: a power of two, 1/units."""

    center: F64
    scale: float

    @staticmethod
    def of(X: Array, always_center: bool) -> Frame:
        """Rows X (s, d) fitted into float32, which would overflow on squares from 1e19 and drop those below 1e-23."""
        center = X.mean(axis=0, dtype=np.float64)
        spread = X.var(axis=0, dtype=np.float64).sum()
        if not always_center and center @ center <= NEAR_ORIGIN * spread:
            center = np.zeros_like(center)  # float32 rows then need no rounding
        largest = float(np.abs(X - center).max(initial=0))
        return Frame(center, 2.0 ** -int(np.frexp(largest)[1]) if largest > 0 else 1.0)

    def lower(self, X: Array) -> F32:
        """Prepared rows X (b, d) as float32, C-contiguous."""
        if not self.center.any():
            return np.ascontiguousarray(X * X.dtype.type(self.scale), np.float32)
        return np.ascontiguousarray((X - self.center) * self.scale, np.float32)

"""Landmarks chosen one after the other under a kernel, with the Cholesky factor that later ones are judged by."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from landmark_ops.numerics.distances import Array
from landmark_ops.numerics.ranges import squares_fit
from landmark_ops.stores.sources.rows import Rows

F64 = NDArray[np.float64]
Precision = Literal["float32", "float64"]

# Mean residual, relative to k(x, x), above which float32 rows are judged in float32. On image patches residuals then
# err by 7e-6 k(x, x), and their sum by 4e-4 of it at a mean of 2.6e-3.
FLOAT32_ABOVE = 2e-3
FLOAT32_PIVOT = 1e-6  # and only if every landmark had a residual of so much of k(z, z) when chosen: L^-1 magnifies


class Pivots(NamedTuple):
    """j landmarks in the order chosen: indices (j,) int64 global, stored (j, d) stored dtype, L (j, j) float64.

    L is the Cholesky factor of K_ZZ, or of K_ZZ plus a ridge where ridge leverage is meant.
    """

    indices: NDArray[np.int64]
    stored: Array
    L: F64


def no_pivots(rows: Rows) -> Pivots:
    """No landmarks yet."""
    return Pivots(np.zeros(0, np.int64), np.zeros((0, rows.d), rows.dtype), np.zeros((0, 0)))


def precision_for(rows: Rows, relative: float, pivots: Pivots) -> Precision:
    """In what precision to judge rows whose residuals are about `relative` times k(x, x), given these landmarks."""
    small = rows.dtype.kind == "f" and rows.dtype.itemsize <= 4
    own, all_of = np.diagonal(pivots.L) ** 2, np.einsum("ij,ij->i", pivots.L, pivots.L)
    fit = bool((own >= FLOAT32_PIVOT * all_of).all())
    fit &= len(own) == 0 or squares_fit(float(all_of.max()), np.dtype(np.float32))
    return "float32" if small and fit and relative > FLOAT32_ABOVE else "float64"

"""Residuals of rows given landmarks: the part of k(x, x) that the landmarks leave unexplained.

With L the Cholesky factor of K_ZZ, the landmarks' features of a row are f(x) = L^-1 k(Z, x), and its residual is
k(x, x) - |f(x)|^2: the squared distance of x from the span of the landmarks in the kernel's space, the variance of a
Gaussian process, and the diagonal of K - K_nZ K_ZZ^-1 K_Zn, whose sum over all rows is the trace error.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.linalg.blas import dtrsm, strsm

from landmark_ops.numerics.distances import Array
from landmark_ops.numerics.kernel import Kernel, kernel_block
from landmark_ops.selection.kernel_values import not_positive, raw_diagonal, undefined
from landmark_ops.selection.pivots import F64, Pivots, Precision
from landmark_ops.selection.usable_rows import working_rows

TILE_ELEMENTS = 1 << 20  # of a (rows, landmarks) tile: stays in the processor's cache
# Residuals up to this, relative to k(x, x), are rounding: such rows lie in the span of landmarks. Measured
# on rows of exact low rank, 660 eps (float64); on image patches, 60 eps (float32).
RANK_CUTOFF = 4e-13
RANK_CUTOFF_FLOAT32 = 1e-5
NEGATIVE = 1e-2  # relative to k(x, x): a residual this far below 0 means that the kernel is not positive semidefinite


class Residuals(NamedTuple):
    """Residuals of b rows: diag (b,) = k(x, x), left (b,) float64, and the sums (j,) of f_j(x)^2 over them."""

    diag: F64
    left: F64
    explained: F64


def residuals(X: Array, pivots: Pivots, kernel: Kernel, precision: Precision) -> Residuals:
    """Residuals of working rows X (b, d), computed tile by tile in one precision; 0 where only rounding is left.

    float32 gives way to float64 where it overflows. Raises InputError where the kernel is not finite or not positive
    semidefinite.
    """
    if precision == "float32":
        with np.errstate(over="ignore", invalid="ignore"):
            found = _residuals(X.astype(np.float32), pivots, kernel)
        if np.isfinite(found.left).all():
            return checked(found, np.float32, kernel)
    with np.errstate(over="ignore", invalid="ignore"):
        found = _residuals(X.astype(np.float64), pivots, kernel)
    return checked(found, np.float64, kernel)


def _residuals(X: Array, pivots: Pivots, kernel: Kernel) -> Residuals:
    diag = raw_diagonal(X, kernel)
    left, explained = diag.copy(), np.zeros(len(pivots.L))
    Z, L = working_rows(pivots.stored, None).astype(X.dtype), np.asfortranarray(pivots.L, X.dtype)
    step = tile_rows(len(L), X.shape[1])
    for at in range(0, len(X) if len(L) else 0, step):
        F = features(X[at : at + step], Z, L, kernel)
        np.multiply(F, F, out=F)
        left[at : at + step] -= F.sum(axis=1, dtype=np.float64)
        explained += F.sum(axis=0, dtype=np.float64)
    return Residuals(diag, left, explained)


def checked(found: Residuals, dtype: type, kernel: Kernel) -> Residuals:
    """`found` with rounding cleared from `left`, or InputError where the numbers make no sense."""
    diag, left, explained = found
    if not (np.isfinite(left).all() and np.isfinite(diag).all()):
        raise undefined(kernel)
    if (diag < 0).any():
        raise not_positive(kernel, f"k(x, x) = {diag.min():.3g}")
    if (left < -NEGATIVE * diag).any():
        raise not_positive(kernel, f"a residual of {(left[diag > 0] / diag[diag > 0]).min():.3g} k(x, x)")
    cutoff = RANK_CUTOFF_FLOAT32 if dtype == np.float32 else RANK_CUTOFF
    return Residuals(diag, clear(left, cutoff * diag), explained)


def clear(values: F64, floor: F64) -> F64:
    """Residuals (c,) with those of at most `floor` (c,), which are rounding, set to 0."""
    return np.where(values > floor, values, 0.0)


def features(X: Array, Z: Array, L: F64, kernel: Kernel) -> Array:
    """f(x) = L^-1 k(Z, x) of rows X (b, d) and landmarks Z (j, d), (b, j), in the dtype of X."""
    if len(X) == 0 or len(Z) == 0:
        return np.zeros((len(X), len(Z)), X.dtype)
    block = np.asarray(kernel_block(X, Z, kernel), X.dtype, order="C")
    solve = strsm if X.dtype == np.float32 else dtrsm
    return solve(1.0, np.asfortranarray(L, X.dtype), block.T, lower=1, overwrite_b=1).T


def tile_rows(columns: int, d: int) -> int:
    """Rows per tile of `columns` landmarks."""
    return min(max(TILE_ELEMENTS // max(columns, d), 16), 4096)

"""Kernel values that selection uses: in float64, checked to be finite and of a positive semidefinite kernel."""

from __future__ import annotations

import numpy as np

from landmark_ops.errors import InputError
from landmark_ops.numerics.distances import Array
from landmark_ops.numerics.kernel import Kernel, kernel_block, kernel_diagonal
from landmark_ops.selection.pivots import F64


def diagonal(X: Array, kernel: Kernel) -> F64:
    """k(x, x) of rows X (b, d), (b,) float64. Raises InputError where it is negative, NaN or Inf."""
    values = raw_diagonal(X, kernel)
    if not np.isfinite(values).all():
        raise undefined(kernel)
    if (values < 0).any():
        raise not_positive(kernel, f"k(x, x) = {values.min():.3g}")
    return values


def raw_diagonal(X: Array, kernel: Kernel) -> F64:
    """k(x, x) unchecked, possibly NaN, Inf or negative, for callers that refuse it themselves."""
    with np.errstate(over="ignore", invalid="ignore"):  # the result is refused
        return np.asarray(kernel_diagonal(X.astype(np.float64), kernel), np.float64) if len(X) else np.zeros(0)


def gram(X: Array, Z: Array, kernel: Kernel) -> F64:
    """k(x, z) of rows X (b, d) and Z (c, d) in float64, (b, c). Raises InputError where a value is NaN or Inf."""
    if len(X) == 0 or len(Z) == 0:
        return np.zeros((len(X), len(Z)))
    with np.errstate(over="ignore", invalid="ignore"):
        values = np.asarray(kernel_block(X.astype(np.float64), Z.astype(np.float64), kernel), np.float64)
    if not np.isfinite(values).all():
        raise undefined(kernel)
    return values


def undefined(kernel: Kernel) -> InputError:
    """The error for NaN or Inf where a number was needed."""
    return InputError(
        f"kernel {kernel.name}: values among the rows are NaN or Inf, all must be finite: scale the rows, or choose a "
        "kernel that is defined for them"
    )


def not_positive(kernel: Kernel, what: str) -> InputError:
    """The error for a kernel that is not positive semidefinite on these rows."""
    return InputError(
        f"kernel {kernel.name} is not positive semidefinite on these rows: found {what}, at least 0 is needed: choose "
        "strategy uniform, or another kernel"
    )

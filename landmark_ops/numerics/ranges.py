"""Ranges of floats: where squares and products of rows leave them, and exact scaling by powers of two.

float32 ends at 3e38 and loses digits below 1e-38, so squares of rows beyond about 1e19 are infinite and those of rows
below 1e-19 are noise or zero, long before the rows themselves are. The largest value of whatever is computed in float32
is therefore checked, which is cheap where it is at hand anyway; beyond these bounds float64 is used.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

Array = NDArray[Any]

# Sums of squares are trusted between these: there is room above for sums over features and rows, and below for
# differences of a few digits.
SQUARES: dict[np.dtype[Any], tuple[float, float]] = {
    np.dtype(np.float32): (1e-24, 1e30),
    np.dtype(np.float64): (1e-290, 1e300),
}


# Range that float32 stores to five digits: below, its steps are coarser; above, it overflows.
STORED = (1e-39, float(np.finfo(np.float32).max))


def stored(top: float) -> bool:
    """Whether float32 stores values up to `top` to five digits of it."""
    return top == 0 or STORED[0] <= top <= STORED[1]


def squares_fit(largest: float, dtype: np.dtype[Any]) -> bool:
    """Whether sums of squares (or products) up to `largest` are safe in float32 or float64; False for NaN."""
    low, high = SQUARES[dtype]
    return low < largest < high


def largest(X: Array) -> float:
    """max |x| over all of X, NaN and Inf aside; 0 where there is nothing else."""
    if X.size == 0:
        return 0.0
    top = float(max(abs(float(X.max())), abs(float(X.min()))))
    if np.isfinite(top):
        return top
    finite = X[np.isfinite(X)]
    return float(np.abs(finite).max(initial=0))


def exponent(top: float) -> int:
    """e with 2^(e - 1) <= top < 2^e, 0 for 0: dividing by 2^e, which is exact, leaves numbers below 1."""
    return int(np.frexp(top)[1]) if top > 0 else 0


def narrow(values: Array, dtype: DTypeLike) -> Array:
    """`values` in another float dtype; NaN, never Inf, where that cannot hold them."""
    if values.dtype == dtype:
        return values
    with np.errstate(over="ignore"):
        out = values.astype(dtype)
    lost = np.isinf(out)
    if lost.any():
        out[lost] = np.nan
    return out


def narrow_rows(values: Array, dtype: DTypeLike) -> Array:
    """Coordinates (b, k) in another float dtype, NaN in the rows that it cannot hold."""
    out = narrow(values, dtype)
    if out is not values:
        lost = np.isnan(out).any(axis=1)
        out[lost] = np.nan
    return out


def squares(values: Array) -> Array:
    """values^2 in their own dtype, or in float64 where float32 would not hold them."""
    if values.dtype == np.float32 and not squares_fit(largest(values) ** 2, values.dtype):
        values = values.astype(np.float64)
    return np.square(values)

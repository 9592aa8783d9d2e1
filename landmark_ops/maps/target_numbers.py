"""Limits of floats for a target: its variance, its integers, and the digits of its predictions."""

from __future__ import annotations

import numpy as np

from landmark_ops.errors import InputError, Word
from landmark_ops.maps.target_sums import TargetSums

LARGEST_EXACT = 2.0**53  # integers are exact in float64 up to here
VARIANCES = (1e-280, 1e280)  # of a target: sums of squares over all rows, and their inverses, stay in float64
ROUNDED = 1e-6  # allowed rounding of integers to float64, relative to a target's standard deviation
SHOWS = 0.01  # of the error of a prediction: rounding of this size adds 4e-6 to it


def check_numbers(low: float, high: float, integer: bool, variance: float) -> None:
    """InputError for targets from `low` to `high` of a `variance` that float64 cannot carry.

    Squares need the range of float64, and integers beyond 2^53 are rounded.
    """
    if low < high and not VARIANCES[0] < variance < VARIANCES[1]:
        raise InputError(
            f"{Word.TARGET}: values from {low:g} to {high:g} have a variance outside {VARIANCES[0]:g} to "
            f"{VARIANCES[1]:g}, what float64 computes with: give it in another unit"
        )
    largest = max(-low, high)
    if integer and largest > LARGEST_EXACT and np.spacing(largest) > ROUNDED * np.sqrt(variance):
        raise InputError(
            f"{Word.TARGET}: integers up to {largest:g} are beyond 2^53, where float64 tells only every "
            f"{np.spacing(largest):g}th apart, and as such they vary by {np.sqrt(variance):.3g}: subtract an offset"
        )


def needs_double(summed: TargetSums, error: float) -> bool:
    """Whether predictions of a target known to within `error`, its standard error, would lose digits as float32.

    They do where rounding is more than SHOWS of that error, and where integers are beyond 2^24.
    """
    single = np.finfo(np.float32)
    largest = max(-summed.low, summed.high)
    if summed.low == summed.high:
        return largest > float(single.max) or float(np.float32(largest)) != largest
    if summed.integer and largest > 2.0 ** (single.nmant + 1):
        return True
    rounding = max(float(single.eps) * largest, float(single.smallest_subnormal))
    return bool(rounding > SHOWS * error or largest > float(single.max) / 2)

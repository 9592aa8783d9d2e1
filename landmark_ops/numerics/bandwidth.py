"""The bandwidth of a kernel where none is given: the median rule."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from landmark_ops.errors import InputError
from landmark_ops.numerics.distances import Array
from landmark_ops.numerics.ranges import squares_fit

F64 = NDArray[np.float64]

MEDIAN_ROWS = 2000  # landmarks between which the median distance is taken, at most


def inverse(median: float) -> float:
    """1 / s: the bandwidth of a kernel of a distance."""
    return 1 / median


def median_gamma(
    name: str, Z: F64, distances: Callable[[F64, F64], Array], gamma_of: Callable[[float], float] = inverse
) -> float:
    """gamma_of(s), with s the median distance between distinct landmarks among the first `MEDIAN_ROWS` of Z (m, d).

    Raises InputError where all are identical, and where gamma is beyond float64. `name`: that of the kernel.
    """
    Z = Z[:MEDIAN_ROWS]
    apart = distances(Z, Z)[np.triu_indices(len(Z), 1)]
    apart = apart[apart > 0]
    if len(apart) == 0:
        raise InputError(
            f"kernel {name}: all {len(Z)} landmarks are identical, so no median distance exists: "
            "the data is constant, or give gamma"
        )
    median = np.float64(np.median(apart))
    with np.errstate(over="ignore", under="ignore", divide="ignore"):
        gamma = float(gamma_of(median))
    if not (np.isfinite(gamma) and gamma > 0):
        raise InputError(
            f"kernel {name}: the median distance between landmarks is {median:.3g}, its gamma of {gamma:g} is beyond "
            "float64: multiply the rows by a power of ten"
        )
    return gamma


def scaled(values: Array, gamma: float) -> Array:
    """gamma x distances, in float64 where float32 cannot hold gamma."""
    if values.dtype == np.float32 and not squares_fit(abs(gamma), values.dtype):
        values = values.astype(np.float64)
    with np.errstate(over="ignore"):
        return np.asarray(values * gamma)

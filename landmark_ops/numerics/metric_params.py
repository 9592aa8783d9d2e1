"""Parameters of metrics: arrays of the shape that the rows' width asks for, and moments that are within range.

SciPy estimates V and VI from whatever two blocks it is handed, so that results would depend on the chunking, and reads
past the end of a VI that is too small. Here they are fixed before any distance is computed.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from landmark_ops.errors import InputError

F64 = NDArray[np.float64]


def numbers_of(value: Any, key: str, name: str, shape: tuple[int, ...]) -> F64:
    """A parameter as finite float64 numbers of this shape.

    Raises InputError for what is no array of finite numbers of this shape.
    """
    wanted = f"({', '.join(map(str, shape))}{',' if len(shape) == 1 else ''})"
    try:
        numbers = np.asarray(value, np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(
            f"metric_params: {key} for {name} is no array of numbers: give one of shape {wanted}, finite"
        ) from error
    if numbers.shape != shape:
        raise InputError(
            f"metric_params: {key} for {name} has shape {numbers.shape}, rows of {shape[0]} features need {wanted}"
        )
    if not np.isfinite(numbers).all():
        raise InputError(
            f"metric_params: {key} for {name} holds {int((~np.isfinite(numbers)).sum())} NaN or Inf: all "
            f"{numbers.size} must be finite"
        )
    return numbers


def refuse_range(variances: F64, Z: F64, name: str, key: str) -> None:
    """InputError where variances of features that vary are 0 or infinite in float64."""
    varies = Z.max(axis=0) > Z.min(axis=0)
    lost = ~np.isfinite(variances) | (varies & ~(variances > 0))
    if lost.any():
        raise InputError(
            f"metric {name}: the variances of {int(lost.sum())} of {Z.shape[1]} features, from which {key} is "
            "estimated, are beyond float64: multiply the rows by a power of ten"
        )

"""Whether a method's results fit float32: coordinates, and residuals, which are in units of coordinates squared."""

from __future__ import annotations

import numpy as np

from landmark_ops.errors import InputError
from landmark_ops.numerics.ranges import STORED, largest, stored
from landmark_ops.solver.method import Solution


def storable(solution: Solution) -> Solution:
    """The solution, with a warning where its residuals leave float32; InputError where its coordinates do."""
    top = largest(np.asarray(solution.embedding, np.float64))
    if not stored(top):
        raise InputError(
            f"coordinates of the landmarks reach {top:.3g}; float32, in which they are stored, holds {STORED[0]:.0e} "
            f"to {STORED[1]:.0e}: multiply the rows by a power of ten"
        )
    fitted = solution.map
    if stored(top * top) or (fitted.residual_weights is None and fitted.spread is None):
        return solution
    warning = (
        f"residuals are in units of coordinates squared, which reach {top:.3g}, and leave float32: those it cannot "
        "store are NaN; multiply the rows by a power of ten"
    )
    return solution._replace(warnings=(*solution.warnings, warning))

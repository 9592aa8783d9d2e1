"""Euclidean in units of the features' deviations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from landmark_ops.errors import InputError
from landmark_ops.numerics.metric import METRICS
from landmark_ops.numerics.metric_params import numbers_of, refuse_range
from landmark_ops.numerics.scipy_metric import ScipyMetric

F64 = NDArray[np.float64]


class StandardizedEuclidean(ScipyMetric):
    """V, the variances of the features, is estimated where left out."""

    parameters = ("V",)
    estimated = True

    def resolved(self, params: Mapping[str, Any], Z: F64) -> dict[str, Any]:
        """The variances."""
        return {"V": variances_of(params["V"], Z.shape[1]) if "V" in params else estimated_variances(Z)}


def variances_of(V: Any, d: int) -> F64:
    """Variances of features, (d,), positive.

    Raises InputError otherwise.
    """
    variances = numbers_of(V, "V", "seuclidean", (d,))
    if not (variances > 0).all():
        raise InputError(
            f"metric_params: V for seuclidean needs {d} positive variances, got {int((~(variances > 0)).sum())} not "
            "positive: drop constant features or give V"
        )
    return variances


def estimated_variances(Z: F64) -> F64:
    """Variances of the rows Z (m, d), (d,); ones for a single row.

    Raises InputError for constant features, whose variance of 0 divides nothing.
    """
    if len(Z) < 2:
        return np.ones(Z.shape[1])
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        variances = np.asarray(Z.var(axis=0, ddof=1))
    refuse_range(variances, Z, "seuclidean", "V")
    if not (variances > 0).all():
        raise InputError(
            f"metric seuclidean: {int((~(variances > 0)).sum())} of {Z.shape[1]} features are constant over {len(Z)} "
            "rows, a variance of 0 divides nothing: drop them or give metric_params.V"
        )
    return variances


METRICS.register(StandardizedEuclidean("seuclidean"))

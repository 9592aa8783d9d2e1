"""Euclidean in the units of a covariance."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from landmark_ops.errors import InputError, Word
from landmark_ops.numerics.metric import METRICS
from landmark_ops.numerics.metric_params import numbers_of, refuse_range
from landmark_ops.numerics.scipy_metric import ScipyMetric

F64 = NDArray[np.float64]

# Of the largest entry or eigenvalue of VI: asymmetry and negative eigenvalues of this size are rounding.
ROUNDING = 1e-8


class Mahalanobis(ScipyMetric):
    """VI, the inverse of the covariance, is estimated where left out."""

    parameters = ("VI",)
    estimated = True

    def resolved(self, params: Mapping[str, Any], Z: F64) -> dict[str, Any]:
        """The inverse covariance."""
        return {"VI": inverse_of(params["VI"], Z.shape[1]) if "VI" in params else estimated_inverse(Z)}


def inverse_of(VI: Any, d: int) -> F64:
    """An inverse covariance, (d, d), symmetric, without a negative eigenvalue.

    Raises InputError otherwise.
    """
    inverse = numbers_of(VI, "VI", "mahalanobis", (d, d))
    top = float(np.abs(inverse).max())
    asymmetry = float(np.abs(inverse - inverse.T).max())
    if asymmetry > ROUNDING * top:
        raise InputError(
            f"metric_params: VI for mahalanobis, shape {inverse.shape}, is not symmetric, entries differ by up to "
            f"{asymmetry:.3g} from their mirror: give a symmetric positive definite one"
        )
    inverse = (inverse + inverse.T) / 2
    values = np.linalg.eigvalsh(inverse)
    if not values[-1] > 0 or values[0] < -ROUNDING * values[-1]:
        raise InputError(
            f"metric_params: VI for mahalanobis, shape {inverse.shape}, is not positive definite, its least eigenvalue "
            f"is {values[0]:.3g}: give the inverse of a covariance"
        )
    return np.asarray(inverse)


def estimated_inverse(Z: F64) -> F64:
    """The inverse covariance of the rows Z (m, d), (d, d); InputError where they do not span all features."""
    d = Z.shape[1]
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        covariance = np.atleast_2d(np.cov(Z, rowvar=False)) if len(Z) > 1 else np.zeros((d, d))
    refuse_range(np.diagonal(covariance), Z, "mahalanobis", "VI")
    # in units of the features' own deviations: a feature in other units is no reason to call the rest singular
    deviations = np.sqrt(np.diagonal(covariance))
    rank = 0
    if (deviations > 0).all():
        correlation = covariance / np.outer(deviations, deviations)
        rank = int(np.linalg.matrix_rank(correlation, hermitian=True))
    if rank < d:
        raise InputError(
            f"metric mahalanobis: the covariance of {len(Z)} landmarks is singular over {d} features: raise "
            f"{Word.COUNT} or give metric_params.VI"
        )
    inverse = np.linalg.inv(correlation) / np.outer(deviations, deviations)
    return np.asarray((inverse + inverse.T) / 2)


METRICS.register(Mahalanobis("mahalanobis"))

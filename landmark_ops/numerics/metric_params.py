"""The parameters of metrics: checked for name, shape, type and meaning, or estimated once from given rows.

SciPy estimates V and VI from whatever two blocks it is handed, so that results would depend on the chunking, and reads
past the end of a VI that is too small. Here they are fixed before any distance is computed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from landmark_ops.errors import InputError, Word

F64 = NDArray[np.float64]

#: What each metric takes; all others take nothing.
ALLOWED = {"minkowski": ("p", "w"), "seuclidean": ("V",), "mahalanobis": ("VI",)}
# Of the largest entry or eigenvalue of VI: asymmetry and negative eigenvalues of this size are rounding.
ROUNDING = 1e-8


def checked_params(name: str, params: Mapping[str, Any], Z: F64) -> dict[str, Any]:
    """The parameters of a metric for rows of Z's width, with those left out taken from the rows Z (m, d).

    Raises InputError naming the parameter, what it is and what it has to be.
    """
    allowed = ALLOWED.get(name, ())
    if unknown := sorted(set(params) - set(allowed)):
        raise InputError(f"metric_params: {unknown[0]!r} is no parameter of {name}; it takes {list(allowed) or 'none'}")
    out = dict(params)
    if name == "minkowski":
        out["p"] = order_of(params.get("p", 2.0))
        if "w" in params:
            out["w"] = weights_of(params["w"], Z.shape[1])
    elif name == "seuclidean":
        out["V"] = variances_of(params["V"], Z.shape[1]) if "V" in params else estimated_variances(Z)
    elif name == "mahalanobis":
        out["VI"] = inverse_of(params["VI"], Z.shape[1]) if "VI" in params else estimated_inverse(Z)
    return out


def order_of(p: Any) -> float:
    """The order of Minkowski's distance: a number of at least 1, infinity among them.

    Raises InputError for what is no such number.
    """
    if isinstance(p, bool) or not isinstance(p, int | float | np.integer | np.floating):
        raise InputError(
            f"metric_params: p={p!r} for minkowski is no number: give one of at least 1; for infinity use metric "
            "chebyshev"
        )
    if not p >= 1:
        raise InputError(f"metric_params: p={p} for minkowski must be at least 1")
    return float(p)


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


def weights_of(w: Any, d: int) -> F64:
    """Weights of features, (d,), not negative and not all zero.

    Raises InputError otherwise.
    """
    weights = numbers_of(w, "w", "minkowski", (d,))
    if (weights < 0).any() or not weights.any():
        raise InputError(
            f"metric_params: w for minkowski holds {int((weights < 0).sum())} negative and {int((weights > 0).sum())} "
            f"positive weights: all {d} must be 0 or more, one at least above 0"
        )
    return weights


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


def refuse_range(variances: F64, Z: F64, name: str, key: str) -> None:
    """InputError where variances of features that vary are 0 or infinite in float64."""
    varies = Z.max(axis=0) > Z.min(axis=0)
    lost = ~np.isfinite(variances) | (varies & ~(variances > 0))
    if lost.any():
        raise InputError(
            f"metric {name}: the variances of {int(lost.sum())} of {Z.shape[1]} features, from which {key} is "
            "estimated, are beyond float64: multiply the rows by a power of ten"
        )

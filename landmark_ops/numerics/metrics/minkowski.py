"""(sum of w |x - z|^p)^(1/p)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

from landmark_ops.errors import InputError
from landmark_ops.numerics.distances import Array
from landmark_ops.numerics.metric import METRICS, Metric, MetricFamily
from landmark_ops.numerics.metric_params import numbers_of
from landmark_ops.numerics.ranges import exponent, largest

F64 = NDArray[np.float64]

# Minkowski's order up to which powers of differences down to 1e-19 of the largest value are no smaller than float64's.
LOW_ORDER = 16


class Minkowski(MetricFamily):
    """Of order p, 2 where left out, with weights w of the features."""

    name = "minkowski"
    parameters = ("p", "w")
    has_means = True

    def distances(self, X: Array, Z: Array, metric: Metric) -> Array:
        """(b, m) float64."""
        return minkowski(np.asarray(X, np.float64), np.asarray(Z, np.float64), **metric.params)

    def resolved(self, params: Mapping[str, Any], Z: F64) -> dict[str, Any]:
        """The order, and weights where there are some."""
        weights = {"w": weights_of(params["w"], Z.shape[1])} if "w" in params else {}
        return {"p": order_of(params.get("p", 2.0)), **weights}


def minkowski(X: Array, Z: Array, p: float, w: Array | None = None) -> NDArray[np.float64]:
    """(sum of w |x - z|^p)^(1/p), (b, m), of float64 rows at any scale: powers leave float64 before roots do."""
    weights = {} if w is None else {"w": np.asarray(w, np.float64)}
    if np.isinf(p):
        return cdist(X, Z, "minkowski", p=p, **weights)
    e = exponent(max(largest(X), largest(Z)))
    X, Z = np.ldexp(X, -e), np.ldexp(Z, -e)
    if p <= LOW_ORDER:
        return np.ldexp(cdist(X, Z, "minkowski", p=p, **weights), e)
    top = cdist(X, Z, "chebyshev")
    safe = np.where(top > 0, top, 1.0)
    total = np.zeros_like(top)
    each = np.ones(X.shape[1]) if w is None else np.asarray(w, np.float64)
    for x, z, weight in zip(X.T, Z.T, each, strict=True):  # one feature at a time keeps temporaries at (b, m)
        total += weight * (np.abs(x[:, None] - z[None, :]) / safe) ** p
    return np.ldexp(top * total ** (1 / p), e)


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


METRICS.register(Minkowski())

"""Distances between b rows and m landmarks, under every SciPy and scikit-learn metric name.

Multidimensional scaling squares dissimilarities. Three metrics are squares already: `sqeuclidean` is |x - z|^2,
`cosine` and `correlation` are half of it on rows scaled to unit length. They are used as what they are,
`sq_dists` = |x - z|^2 on the (scaled) rows, not squared once more; see infra/decisions/0003-squared-metrics.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

from landmark_ops.errors import InputError
from landmark_ops.numerics.callables import Callback as Callback
from landmark_ops.numerics.callables import call_blockwise, is_blockwise, not_negative
from landmark_ops.numerics.metric_params import checked_params
from landmark_ops.numerics.ranges import SQUARES, exponent, largest, squares_fit

Array = NDArray[Any]

#: How rows are transformed before Euclidean geometry applies: metric -> transform name.
EUCLIDEAN_FAMILY = {
    "euclidean": "none",
    "sqeuclidean": "none",
    "cosine": "unit",
    "correlation": "center_unit",
}
ALIASES = {"l2": "euclidean", "l1": "cityblock", "manhattan": "cityblock", "infinity": "chebyshev"}
BOOLEAN = ("dice", "jaccard", "rogerstanimoto", "russellrao", "sokalsneath", "yule")
SCIPY = (
    "cityblock", "chebyshev", "minkowski", "canberra", "braycurtis", "hamming", "jensenshannon",
    "seuclidean", "mahalanobis", *BOOLEAN,
)  # fmt: skip
METRICS = (*EUCLIDEAN_FAMILY, *SCIPY, "haversine", "nan_euclidean", "precomputed")

NEAR = 1e-3  # of |x|^2 + |z|^2 (centred): below it the expanded form has lost half of float32's digits
# Minkowski's order up to which powers of differences down to 1e-19 of the largest value are no smaller than float64's.
LOW_ORDER = 16
# Bound on temporaries when near pairs are recomputed, in elements.
NEAR_BATCH = 1 << 22


@dataclass(frozen=True, eq=False)
class Metric:
    """A metric with its parameters resolved: the same numbers for every block.

    `params` holds p and w (minkowski), V (seuclidean, (d,)) or VI (mahalanobis, (d, d)). `fn` is a user's callable:
    either fn(X, Z) -> (b, m) or SciPy's fn(u, v) -> float on two rows; `blockwise` says which.
    """

    name: str
    params: Mapping[str, Any] = field(default_factory=dict)
    fn: Callback | None = None
    blockwise: bool = False

    @property
    def transform(self) -> str | None:
        """Row transform after which `sq_dists` is squared Euclidean, or None for all other metrics."""
        return EUCLIDEAN_FAMILY.get(self.name)

    @property
    def overflows(self) -> bool:
        """Whether values are not finite in float64 only where they overflow."""
        return self.transform is not None


def resolve_metric(metric: str | Callback, params: Mapping[str, Any] | None, Z: Array) -> Metric:
    """Look a metric up and fix its parameters from the landmarks Z (m, d) where none are given.

    Z has the width of the rows; V and VI are its variances and inverse covariance, once.
    Raises InputError for unknown names and unknown, missing or impossible parameters.
    """
    params = dict(params or {})
    if callable(metric):
        return Metric("callable", params, metric, is_blockwise(metric, Z, params))
    name = canonical(metric)
    if name == "haversine" and Z.shape[1] != 2:
        raise InputError(f"metric haversine: rows have {Z.shape[1]} features, needs 2: latitude, longitude in radians")
    return Metric(name, checked_params(name, params, np.asarray(Z, np.float64)))


def canonical(metric: str) -> str:
    """The one name of a metric; InputError naming the nearest ones for an unknown name."""
    name = ALIASES.get(metric, metric)
    if name not in METRICS:
        near = get_close_matches(metric, [*METRICS, *ALIASES], 3) or sorted(METRICS)
        raise InputError(f"metric {metric!r} is unknown: did you mean one of {', '.join(near)}?")
    return name


def transform_rows(X: Array, transform: str) -> Array:
    """Rows under which cosine and correlation are Euclidean: X, X/|X|, or (X - mean)/|X - mean|, same dtype.

    At any scale: rows whose squares leave the range of their dtype are first divided by a power of two.
    A zero (or for correlation constant) row has no direction: it becomes NaN, which callers report as undefined.
    """
    if transform == "none":
        return X
    if X.dtype not in SQUARES:
        X = np.asarray(X, np.float64)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore", under="ignore"):
        rows = centred(X) if transform == "center_unit" else X
        sq_norms = np.einsum("ij,ij->i", rows, rows)
        low, high = SQUARES[X.dtype]
        out = np.asarray(rows / np.sqrt(sq_norms)[:, None])
        odd = ~((sq_norms > low) & (sq_norms < high))
        if odd.any():
            out[odd] = _unit_rows(np.asarray(X[odd], np.float64), transform)
    return out


def centred(X: Array) -> Array:
    """Rows (b, d) less their mean, same dtype: both in float64, as float32 means of large values are off by many ulp.

    A constant row becomes exactly zero, whatever rounding does to its mean.
    """
    means = X.mean(axis=1, dtype=np.float64)
    out = np.subtract(X, means[:, None], dtype=np.float64).astype(X.dtype)
    near = np.abs(out[:, 0]) <= 1e-6 * np.abs(means)  # may be constant: looked at closely
    if near.any():
        at = np.flatnonzero(near)
        out[at[X[at].max(axis=1) == X[at].min(axis=1)]] = 0
    return out


def _unit_rows(X: NDArray[np.float64], transform: str) -> NDArray[np.float64]:
    """`transform_rows` for float64 rows of any scale, NaN where there is no direction or a row is not finite."""
    tops = np.abs(X).max(axis=1)
    X = np.ldexp(X, -np.frexp(tops)[1][:, None])
    if transform == "center_unit":
        X = centred(X)
        X = np.ldexp(X, -np.frexp(np.abs(X).max(axis=1))[1][:, None])
    norms = np.sqrt(np.vecdot(X, X))
    return np.asarray(X / np.where((norms > 0) & np.isfinite(tops), norms, np.nan)[:, None])


def sq_euclidean(X: Array, Z: Array) -> Array:
    """Squared Euclidean distances, (b, m), in the dtype of X, or in float64 where float32 could not hold them.

    Expanded form |x|^2 - 2 x.z + |z|^2, centred on the landmark mean (at offset 100 and d = 50 float32 errs by 0.7 %
    uncentred, 3e-6 centred). Pairs nearer than `NEAR` of their norms are recomputed from the difference: there the
    expanded form errs by 9 % for rows 1e-3 apart. Never negative.
    """
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        center = Z.mean(axis=0, dtype=np.float64).astype(X.dtype)
        Xc, Zc = X - center, (Z - center).astype(X.dtype, copy=False)
        x2, z2 = np.einsum("ij,ij->i", Xc, Xc), np.einsum("ij,ij->i", Zc, Zc)
        top = float(max(x2.max(initial=0), z2.max(initial=0)))
        if X.dtype == np.float32 and not squares_fit(top, X.dtype) and (top > 0 or Xc.any() or Zc.any()):
            return sq_euclidean(X.astype(np.float64), np.asarray(Z, np.float64))
        out = np.asarray(Xc @ (-2 * Zc.T))
        out += x2[:, None]
        out += z2[None, :]
        rows, columns = np.nonzero(out < NEAR * (x2[:, None] + z2[None, :]))
        step = max(1, NEAR_BATCH // X.shape[1])
        for at in range(0, len(rows), step):
            r, c = rows[at : at + step], columns[at : at + step]
            difference = Xc[r] - Zc[c]
            out[r, c] = np.einsum("ij,ij->i", difference, difference)
        return np.maximum(out, 0, out=out)


def euclidean(X: Array, Z: Array) -> Array:
    """Euclidean distances, (b, m), as `sq_euclidean`; at any scale, also where float64 cannot hold their squares."""
    with np.errstate(over="ignore", invalid="ignore"):
        center = Z.mean(axis=0, dtype=np.float64)
        top = max(largest(X - center), largest(Z - center)) if X.dtype == np.float64 else 1.0
        if top == 0 or squares_fit(top * top * X.shape[1], np.dtype(np.float64)):
            return np.sqrt(sq_euclidean(X, Z))
        e = exponent(top)
        return np.ldexp(np.sqrt(sq_euclidean(np.ldexp(X, -e), np.ldexp(np.asarray(Z, np.float64), -e))), e)


def sq_dists(X: Array, Z: Array, metric: Metric) -> Array:
    """Squared dissimilarities as multidimensional scaling uses them, (b, m).

    The dtype is that of X for the Euclidean family (float64 where float32 could not hold them) and float64 for all
    other metrics, which SciPy computes so.
    """
    if metric.transform is not None:
        return sq_euclidean(transform_rows(X, metric.transform), transform_rows(Z, metric.transform))
    return np.square(dists(X, Z, metric))


def dists(X: Array, Z: Array, metric: Metric) -> Array:
    """Distances, (b, m): square root of `sq_dists` for the Euclidean family, the metric's own value otherwise.

    Of the Euclidean family at any scale, as the squares are never formed in their own unit.
    """
    if metric.transform is not None:
        return euclidean(transform_rows(X, metric.transform), transform_rows(Z, metric.transform))
    if metric.fn is not None:
        return not_negative(call_blockwise(metric.fn, metric.blockwise, X, Z, metric.params), "metric callable")
    if metric.name == "precomputed":  # rows are their own distances to the landmarks, in order
        return np.asarray(X, np.float64)
    if metric.name == "haversine":
        return haversine(X, Z)
    if metric.name == "nan_euclidean":
        from sklearn.metrics.pairwise import nan_euclidean_distances

        return np.asarray(nan_euclidean_distances(np.asarray(X, np.float64), np.asarray(Z, np.float64)))
    X, Z = (np.asarray(A, bool if metric.name in BOOLEAN else np.float64) for A in (X, Z))
    if metric.name == "minkowski":
        return minkowski(X, Z, **metric.params)
    return cdist(X, Z, metric.name, **metric.params)


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


def haversine(X: Array, Z: Array) -> NDArray[np.float64]:
    """Great-circle angle in radians between (latitude, longitude) rows in radians, as scikit-learn defines it."""
    X, Z = np.asarray(X, np.float64), np.asarray(Z, np.float64)
    latitude = np.sin(0.5 * (X[:, None, 0] - Z[None, :, 0])) ** 2
    longitude = np.sin(0.5 * (X[:, None, 1] - Z[None, :, 1])) ** 2
    h = latitude + np.cos(X[:, None, 0]) * np.cos(Z[None, :, 0]) * longitude
    return 2 * np.arcsin(np.sqrt(np.clip(h, 0, 1)))  # h may be 1 + 2e-16 for antipodes

"""The nearest of some points to each row, decided so that no BLAS, tile or thread count can change the answer.

A matrix product in the rows' own precision proposes; differences in float64 decide among all points that the
rounding of the product cannot tell apart, and among equals the lowest index wins.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from landmark_ops.errors import InputError
from landmark_ops.numerics.distances import Array
from landmark_ops.numerics.metric import Metric, dists
from landmark_ops.numerics.ranges import largest

TILE_ELEMENTS = 1 << 20  # of the (rows, points) matrix of distances: stays in the processor's cache
# Error allowed to an expanded squared distance, in units of eps sqrt(d) (|x|^2 + |z|^2): eight times the growth
# expected of rounding errors (Higham & Mary 2019).
ROUNDING = 8.0
SINGLE = (1e-9, 4e9)  # magnitudes of rows whose squares float32 holds with room for sums and differences


class Nearest(NamedTuple):
    """For each of b rows: which point is nearest (b,) int64, and its gap (b,) float64.

    A gap is |x - z|^2 for the Euclidean family (on transformed rows), the distance itself for other metrics.
    """

    which: NDArray[np.int64]
    gaps: NDArray[np.float64]


def nearest(X: Array, Z: Array, metric: Metric) -> Nearest:
    """The nearest of Z (m, d) to each working row of X (b, d). Raises InputError where a distance is undefined."""
    which = np.zeros(len(X), np.int64)
    gaps = np.empty(len(X))
    step = min(max(TILE_ELEMENTS // max(len(Z), X.shape[1]), 16), 4096)
    if metric.transform is not None:
        points = Expanded.of(X, Z)
        for at in range(0, len(X), step):
            which[at : at + step], gaps[at : at + step] = points.nearest(X[at : at + step])
    else:
        for at in range(0, len(X), step):
            tile = dists(X[at : at + step], Z, metric)
            best = tile.argmin(axis=1)
            which[at : at + step], gaps[at : at + step] = best, tile[np.arange(len(tile)), best]
    return Nearest(which, refuse_undefined(gaps, metric))


def gaps_to(X: Array, z: Array, metric: Metric) -> NDArray[np.float64]:
    """Gap of each row of X (b, d) to one point z (d,), (b,) float64."""
    if metric.transform is None:
        return refuse_undefined(np.asarray(dists(X, z[None], metric)[:, 0], np.float64), metric)
    return refuse_undefined(sq_gaps(X, np.broadcast_to(z, X.shape)), metric)


def as_distance(gap: float, metric: Metric) -> float:
    """A gap as a distance."""
    return float(np.sqrt(gap)) if metric.transform is not None else float(gap)


def sq_gaps(X: Array, Z: Array) -> NDArray[np.float64]:
    """|x - z|^2 of the pairs X, Z (b, d), (b,) float64, from their differences in float64; exactly 0 for equals."""
    out = np.empty(len(X))
    step = max(1, TILE_ELEMENTS // X.shape[1])
    with np.errstate(over="ignore", invalid="ignore"):
        for at in range(0, len(X), step):
            difference = np.subtract(X[at : at + step], Z[at : at + step], dtype=np.float64)
            np.einsum("ij,ij->i", difference, difference, out=out[at : at + step])
    return out


def refuse_undefined(gaps: NDArray[np.float64], metric: Metric) -> NDArray[np.float64]:
    """`gaps`, or InputError where one is NaN or Inf."""
    undefined = ~np.isfinite(gaps)
    if undefined.any():
        raise InputError(
            f"metric {metric.name}: {undefined.sum()} distances among the rows are NaN or Inf, all must be finite: "
            "scale the rows, or choose a metric that is defined for them"
        )
    return gaps


class Expanded(NamedTuple):
    """Points Z (m, d) made ready for |z|^2 - 2 x.z on rows centred on their mean."""

    Z: Array
    center: Array
    minus_two_Z: Array
    sq_norms: Array
    slack: float

    @classmethod
    def of(cls, X: Array, Z: Array) -> Expanded:
        """Prepare Z in the dtype of X, or in float64 where squares would leave float32's range."""
        dtype = X.dtype
        top = max(largest(X), largest(Z))
        if dtype == np.float32 and not SINGLE[0] < top < SINGLE[1]:
            dtype = np.dtype(np.float64)
        center = Z.mean(axis=0, dtype=np.float64).astype(dtype)
        Zc = np.subtract(Z, center, dtype=np.float64).astype(dtype)
        slack = ROUNDING * float(np.finfo(dtype).eps) * Z.shape[1] ** 0.5
        with np.errstate(over="ignore"):
            return cls(Z, center, np.ascontiguousarray(-2 * Zc.T), np.einsum("ij,ij->i", Zc, Zc), slack)

    def nearest(self, X: Array) -> Nearest:
        """The nearest point to each row of one tile X (b, d)."""
        if len(self.Z) == 1:
            return Nearest(np.zeros(len(X), np.int64), sq_gaps(X, np.broadcast_to(self.Z[0], X.shape)))
        Xc = X - self.center
        lower = Xc @ self.minus_two_Z
        lower += self.sq_norms * (1 - self.slack)
        best = lower.argmin(axis=1)
        upper = lower[np.arange(len(X)), best]
        upper += 2 * self.slack * (self.sq_norms[best] + np.einsum("ij,ij->i", Xc, Xc))
        row, column = np.divmod(np.flatnonzero(lower <= upper[:, None]), len(self.Z))
        gaps = np.empty(len(row))
        step = max(1, TILE_ELEMENTS // X.shape[1])
        for at in range(0, len(row), step):
            gaps[at : at + step] = sq_gaps(X[row[at : at + step]], self.Z[column[at : at + step]])
        if len(row) > len(X):  # some rows have several candidates: sorted by row, gap, then index
            order = np.lexsort((gaps, row))
            first = order[np.flatnonzero(np.diff(row, prepend=-1))]
            column, gaps = column[first], gaps[first]
        return Nearest(column, gaps)

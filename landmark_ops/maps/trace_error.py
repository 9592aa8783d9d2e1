"""How much Nystrom features leave unexplained of a kernel matrix: the trace of K - F F^T relative to that of K.

K - F F^T is positive semidefinite. Its trace is a sum over rows, exact where all rows are summed.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from landmark_ops.maps.landmark_map import LandmarkMap
from landmark_ops.maps.moments import SUM_ROWS, Sum, Tile
from landmark_ops.numerics.distances import Array


class ExplainedSums(NamedTuple):
    """Sums over `rows` rows: of residuals, and of |f|^2, the part that the map explains."""

    rows: int
    residual: float
    explained: float


class TraceError(NamedTuple):
    """The relative trace error of Nystrom features over `rows` rows: all, where there is no standard error.

    value = unexplained / trace = sum(k(x, x) - |f(x)|^2) / sum k(x, x), NaN where the trace is not positive.
    """

    value: float
    unexplained: float
    trace: float
    rows: int
    standard_error: float | None = None


def in_double(fitted: LandmarkMap) -> LandmarkMap:
    """The same map computed in float64: in float32 its residuals are rounded at 1e-7 of k(x, x), and worse near 0."""
    return replace(fitted, double=True)


def explained(fitted: LandmarkMap) -> Sum[ExplainedSums]:
    """Ask for the explained and the residual sums of a map over all rows; computed in float64."""
    return Sum((in_double(fitted),), explained_tile, add_explained, name="error")


def explained_tile(tile: Tile) -> ExplainedSums:
    """The sums of one tile."""
    F, residual = tile.placed[0]
    return ExplainedSums(len(F), float(residual.sum(dtype=np.float64)), float(np.vecdot(F, F).sum(dtype=np.float64)))


def add_explained(parts: list[ExplainedSums]) -> ExplainedSums:
    """The sums of several parts together."""
    return ExplainedSums(*(sum(column) for column in zip(*parts, strict=True)))


def explained_block(maps: list[LandmarkMap], X: Array) -> list[ExplainedSums]:
    """The sums of rows X (b, d) under each of several maps, one map after the other, tile by tile, in float64."""
    found = []
    for fitted in map(in_double, maps):
        parts = [ExplainedSums(0, 0.0, 0.0)]
        for at in range(0, len(X), SUM_ROWS):
            placed = fitted.place(X[at : at + SUM_ROWS])
            good = np.isfinite(placed.embedding).all(axis=1)
            parts.append(explained_tile(Tile([type(placed)(placed.embedding[good], placed.residual[good])], None)))
        found.append(add_explained(parts))
    return found


def trace_error(sums: ExplainedSums) -> TraceError:
    """The relative trace error of Nystrom features from their sums: their residual is k(x, x) - |f(x)|^2."""
    trace = sums.residual + sums.explained
    value = sums.residual / trace if trace > 0 else float("nan")
    return TraceError(value, sums.residual, trace, sums.rows)


def sampled_trace_error(features: LandmarkMap, X: Array, n: int) -> TraceError:
    """The relative trace error over n rows from S of them, X (S, d), drawn uniformly; error of a ratio to first order.

    Rows without features are left out.
    """
    placed = in_double(features).place(X)
    good = np.isfinite(placed.embedding).all(axis=1)
    residual = np.asarray(placed.residual[good], np.float64)
    own = residual + np.vecdot(placed.embedding[good], placed.embedding[good])
    error = trace_error(ExplainedSums(len(own), float(residual.sum()), float((own - residual).sum())))
    if len(own) < 2 or not error.trace > 0:
        return error._replace(standard_error=float("nan"))
    left = residual - error.value * own
    spread = float(left.std(ddof=1) / np.sqrt(len(own)) / own.mean())
    return error._replace(standard_error=spread * float(np.sqrt(max(1 - len(own) / n, 0.0))))

"""Sums over all rows of a map's outputs: what kernel PCA and PCA alignment need of the data."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from landmark_ops.numerics.distances import Array
from landmark_ops.numerics.landmark_map import LandmarkMap

F64 = NDArray[np.float64]
# Rows per product: outputs of this many rows are multiplied in their own dtype, then added in float64.
SUM_ROWS = 4096


class Moments(NamedTuple):
    """Sums over `rows` rows of f (k,) and f f^T (k, k); rows that have no coordinates (NaN) are not counted."""

    rows: int
    total: F64  # (k,)
    second: F64  # (k, k)

    @property
    def mean(self) -> F64:
        """Mean of f, (k,)."""
        return self.total / self.rows

    @property
    def covariance(self) -> F64:
        """E f f^T - E f E f^T, (k, k), biased (divided by the count)."""
        return self.second / self.rows - np.outer(self.mean, self.mean)


def moments_of(features: LandmarkMap, X: Array) -> Moments:
    """Moments of f over the rows X (b, d)."""
    k = features.n_components
    count, total, second = 0, np.zeros(k), np.zeros((k, k))
    for start in range(0, len(X), SUM_ROWS):
        F = features(X[start : start + SUM_ROWS])
        F = F[np.isfinite(F).all(axis=1)]
        count += len(F)
        total += F.sum(axis=0, dtype=np.float64)
        second += F.T @ F
    return Moments(count, total, second)


def add_moments(parts: list[Moments]) -> Moments:
    """The moments of several blocks together."""
    return Moments(
        sum(part.rows for part in parts),
        np.sum([part.total for part in parts], axis=0),
        np.sum([part.second for part in parts], axis=0),
    )

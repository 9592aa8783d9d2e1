"""The total variance of rows under a metric, which the residuals of a map of distances are judged by."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from landmark_ops.errors import InputError
from landmark_ops.numerics.distances import Array, transform_rows
from landmark_ops.numerics.metric import Metric, sq_dists

F64 = NDArray[np.float64]


def variance_terms(X: Array, block: Metric) -> F64:
    """What each of S rows adds to the total variance, (S,): their mean is half the mean squared distance of two rows.

    In Euclidean geometry |x - mean|^2 S / (S - 1), the same by the identity of Huygens; for other metrics from all
    pairs, mean_j d(x_i, x_j)^2 less half its mean, so that this too is a sum over rows.

    Raises InputError for fewer than two rows.
    """
    X = np.asarray(X, np.float64)
    S = len(X)
    if S < 2:
        raise InputError(f"total variance: got {S} row(s), at least 2 are needed")
    if block.transform is not None:
        rows = transform_rows(X, block.transform)
        rows = rows - rows.mean(axis=0)
        return np.asarray(np.vecdot(rows, rows) * (S / (S - 1)))
    D = np.asarray(sq_dists(X, X, block), np.float64)
    np.fill_diagonal(D, 0.0)
    means = D.sum(axis=1) / (S - 1)
    return np.asarray(means - means.mean() / 2)

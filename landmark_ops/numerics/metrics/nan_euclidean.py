"""Euclidean over the features that two rows both have."""

from __future__ import annotations

import numpy as np

from landmark_ops.numerics.distances import Array
from landmark_ops.numerics.metric import METRICS, Metric, MetricFamily


class NanEuclidean(MetricFamily):
    """NaN marks a feature that a row lacks; the others are scaled up to stand for all, as in scikit-learn."""

    name = "nan_euclidean"
    takes_nan = True
    triangle = False

    def distances(self, X: Array, Z: Array, metric: Metric) -> Array:
        """(b, m) float64."""
        from sklearn.metrics.pairwise import nan_euclidean_distances

        return np.asarray(nan_euclidean_distances(np.asarray(X, np.float64), np.asarray(Z, np.float64)))


METRICS.register(NanEuclidean())

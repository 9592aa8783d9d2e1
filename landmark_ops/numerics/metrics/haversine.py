"""Great-circle angles."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from landmark_ops.errors import InputError
from landmark_ops.numerics.distances import Array
from landmark_ops.numerics.domains import Domain, radians
from landmark_ops.numerics.metric import METRICS, Metric, MetricFamily


class Haversine(MetricFamily):
    """Between latitude and longitude in radians."""

    name = "haversine"
    domain = Domain(
        radians,
        "are no (latitude, longitude) in radians, metric haversine takes -pi/2 to pi/2 and -2 pi to 2 pi",
        "convert degrees to radians",
    )

    def distances(self, X: Array, Z: Array, metric: Metric) -> Array:
        """In radians, (b, m) float64."""
        return haversine(X, Z)

    def resolved(self, params: Mapping[str, Any], Z: NDArray[np.float64]) -> dict[str, Any]:
        """No parameters, and two features."""
        if Z.shape[1] != 2:
            raise InputError(
                f"metric haversine: rows have {Z.shape[1]} features, needs 2: latitude, longitude in radians"
            )
        return {}


def haversine(X: Array, Z: Array) -> NDArray[np.float64]:
    """Great-circle angle in radians between (latitude, longitude) rows in radians, as scikit-learn defines it."""
    X, Z = np.asarray(X, np.float64), np.asarray(Z, np.float64)
    latitude = np.sin(0.5 * (X[:, None, 0] - Z[None, :, 0])) ** 2
    longitude = np.sin(0.5 * (X[:, None, 1] - Z[None, :, 1])) ** 2
    h = latitude + np.cos(X[:, None, 0]) * np.cos(Z[None, :, 0]) * longitude
    return 2 * np.arcsin(np.sqrt(np.clip(h, 0, 1)))  # h may be 1 + 2e-16 for antipodes


METRICS.register(Haversine())

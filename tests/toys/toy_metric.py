"""A metric: the power `q` of city-block distance, `snowflake`; of rows up to 1,000."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

from landmark_ops.errors import InputError
from landmark_ops.numerics.distances import Array
from landmark_ops.numerics.domains import Domain
from landmark_ops.numerics.metric import METRICS, Metric, MetricFamily


class Snowflake(MetricFamily):
    name = "snowflake"
    aliases = ("flake",)
    parameters = ("q",)
    domain = Domain(
        lambda X: np.asarray((np.abs(X) <= 1000).all(axis=1)), "are too far out for metric snowflake", "bring them in"
    )

    def distances(self, X: Array, Z: Array, metric: Metric) -> Array:
        q: float = metric.params.get("q", 0.5)
        return cdist(np.asarray(X, np.float64), np.asarray(Z, np.float64), "cityblock") ** q

    def resolved(self, params: Mapping[str, Any], Z: NDArray[np.float64]) -> dict[str, Any]:
        q = params.get("q", 0.5)
        if not 0 < q <= 1:
            raise InputError(f"metric_params: q={q} for snowflake must be above 0 and at most 1")
        return {"q": float(q)}


SNOWFLAKE = METRICS.register(Snowflake())

"""Base of the metrics that SciPy computes."""

from __future__ import annotations

import numpy as np
from scipy.spatial.distance import cdist

from landmark_ops.numerics.distances import Array
from landmark_ops.numerics.domains import Domain
from landmark_ops.numerics.metric import Metric, MetricFamily


class ScipyMetric(MetricFamily):
    """Computed by cdist in float64, or of booleans."""

    dtype: type = np.float64

    def __init__(
        self,
        name: str,
        aliases: tuple[str, ...] = (),
        *,
        has_means: bool = True,
        triangle: bool = True,
        domain: Domain | None = None,
    ) -> None:
        self.name, self.aliases = name, aliases
        self.has_means, self.triangle, self.domain = has_means, triangle, domain

    def distances(self, X: Array, Z: Array, metric: Metric) -> Array:
        """(b, m) float64."""
        return cdist(np.asarray(X, self.dtype), np.asarray(Z, self.dtype), self.name, **metric.params)

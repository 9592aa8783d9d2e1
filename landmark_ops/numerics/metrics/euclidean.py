"""The Euclidean family: |x - z| on the rows, on rows of unit length, or on centred rows of unit length."""

from __future__ import annotations

from landmark_ops.numerics.distances import Array, euclidean, sq_euclidean, transform_rows
from landmark_ops.numerics.metric import METRICS, Metric, MetricFamily


class Euclidean(MetricFamily):
    """Euclidean after `transform`; blocks of its squares fold into a linear map."""

    transform: str
    has_means = True

    def __init__(self, name: str, transform: str, aliases: tuple[str, ...] = ()) -> None:
        self.name, self.transform, self.aliases = name, transform, aliases

    def distances(self, X: Array, Z: Array, metric: Metric) -> Array:
        """At any scale, also where float64 cannot hold the squares."""
        return euclidean(transform_rows(X, self.transform), transform_rows(Z, self.transform))

    def sq_distances(self, X: Array, Z: Array, metric: Metric) -> Array:
        """In the dtype of X, or in float64 where float32 could not hold them."""
        return sq_euclidean(transform_rows(X, self.transform), transform_rows(Z, self.transform))


METRICS.register(Euclidean("euclidean", "none", ("l2",)))
METRICS.register(Euclidean("sqeuclidean", "none"))
METRICS.register(Euclidean("cosine", "unit"))
METRICS.register(Euclidean("correlation", "center_unit"))

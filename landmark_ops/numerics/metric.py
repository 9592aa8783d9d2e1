"""Distances between b rows and m landmarks, under every SciPy and scikit-learn metric name.

Each has an entry in `metrics/`, which says everything about it; nothing else tells metrics apart by name.

Multidimensional scaling squares dissimilarities. Three metrics are squares already: `sqeuclidean` is |x - z|^2,
`cosine` and `correlation` are half of it on rows scaled to unit length. For them `sq_dists` is |x - z|^2 on the
(scaled) rows, not squared once more; see infra/decisions/0003-squared-metrics.md.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from landmark_ops.errors import InputError
from landmark_ops.numerics.callables import Callback, call_blockwise, is_blockwise, not_negative
from landmark_ops.numerics.distances import Array
from landmark_ops.numerics.domains import Domain
from landmark_ops.registry import Registry

F64 = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Metric:
    """A metric with its parameters resolved: the same numbers for every block.

    `params` holds what its family takes, as p and w (minkowski), V (seuclidean, (d,)) or VI (mahalanobis, (d, d)). `fn`
    is a user's callable: either fn(X, Z) -> (b, m) or SciPy's fn(u, v) -> float on two rows; `blockwise` says which.
    """

    name: str
    params: Mapping[str, Any] = field(default_factory=dict)
    fn: Callback | None = None
    blockwise: bool = False

    @property
    def family(self) -> MetricFamily:
        """The entry of the metric; InputError with the nearest names for one that is unknown."""
        return CALLED if self.fn is not None else METRICS[self.name]

    @property
    def transform(self) -> str | None:
        """Row transform after which `sq_dists` is squared Euclidean, or None for all other metrics."""
        return self.family.transform

    @property
    def overflows(self) -> bool:
        """Whether values are not finite in float64 only where they overflow: of finite rows that have a direction."""
        return self.transform is not None


class MetricFamily(ABC):
    """The entry of a metric: its properties and functions, for any parameters."""

    name: str
    aliases: tuple[str, ...] = ()
    #: The keys it takes in metric_params.
    parameters: tuple[str, ...] = ()
    #: Whether parameters left out are estimated from rows, once.
    estimated = False
    #: Row transform after which it is Euclidean: none, unit or center_unit; None for all other metrics.
    transform: str | None = None
    #: Whether rows are their own distances to landmarks chosen already, so that no two rows can be compared.
    precomputed = False
    #: Whether it is defined for rows holding NaN.
    takes_nan = False
    #: Whether the triangle inequality holds.
    triangle = True
    #: Whether means of rows are rows, too, so that k-means can move its centres to them.
    has_means = False
    #: Its domain, where not every finite row will do.
    domain: Domain | None = None

    @abstractmethod
    def distances(self, X: Array, Z: Array, metric: Metric) -> Array:
        """Distances of rows X (b, d) to landmarks Z (m, d), (b, m)."""

    def sq_distances(self, X: Array, Z: Array, metric: Metric) -> Array:
        """Squared distances, (b, m), as multidimensional scaling uses them."""
        return np.square(self.distances(X, Z, metric))

    def resolved(self, params: Mapping[str, Any], Z: F64) -> dict[str, Any]:
        """The parameters for rows of Z's width, checked; those left out are taken from the rows Z (m, d).

        Raises InputError naming the parameter, what it is and what it has to be.
        """
        return dict(params)


class CalledMetric(MetricFamily):
    """A user's own function."""

    name = "callable"
    triangle = False

    def distances(self, X: Array, Z: Array, metric: Metric) -> Array:
        """On blocks, or on each pair of rows; InputError for negative ones."""
        assert metric.fn is not None
        return not_negative(call_blockwise(metric.fn, metric.blockwise, X, Z, metric.params), "metric callable")


CALLED = CalledMetric()
METRICS: Registry[MetricFamily] = Registry("metric", "landmark_ops.numerics.metrics")


def resolve_metric(metric: str | Callback, params: Mapping[str, Any] | None, Z: Array) -> Metric:
    """Look a metric up and fix its parameters from the landmarks Z (m, d) where none are given.

    Z has the width of the rows; V and VI are its variances and inverse covariance, once.
    Raises InputError for unknown names and unknown, missing or impossible parameters.
    """
    params = dict(params or {})
    if callable(metric):
        return Metric("callable", params, metric, is_blockwise(metric, Z, params))
    family = METRICS[metric]
    if unknown := sorted(set(params) - set(family.parameters)):
        raise InputError(
            f"metric_params: {unknown[0]!r} is no parameter of {family.name}; it takes "
            f"{list(family.parameters) or 'none'}"
        )
    return Metric(family.name, family.resolved(params, np.asarray(Z, np.float64)))


def metric_before_landmarks(
    metric: str | Callback, params: Mapping[str, Any] | None, probe: Callable[[], Array]
) -> Metric:
    """A metric with its parameters resolved, as strategies see it that measure distances before there are landmarks.

    `probe` draws the rows (s, d) that V, VI and the kind of a callable are found on, and parameters and the width of
    rows checked; it is called only where a metric asks for that.
    """
    if not callable(metric) and METRICS[metric].transform is not None and not params:
        return Metric(METRICS[metric].name)
    return resolve_metric(metric, params, probe())


def sq_dists(X: Array, Z: Array, metric: Metric) -> Array:
    """Squared dissimilarities as multidimensional scaling uses them, (b, m).

    The dtype is that of X for the Euclidean family (float64 where float32 could not hold them) and float64 for all
    other metrics, which SciPy computes so.
    """
    return metric.family.sq_distances(X, Z, metric)


def dists(X: Array, Z: Array, metric: Metric) -> Array:
    """Distances, (b, m): square root of `sq_dists` for the Euclidean family, the metric's own value otherwise.

    Of the Euclidean family at any scale, as the squares are never formed in their own unit.
    """
    return metric.family.distances(X, Z, metric)

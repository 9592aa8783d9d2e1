"""How faithful an embedding is, on a sample: each measure with a standard error.

Measures are means, or ratios of sums, over the queries of `query_sums.py`; their standard errors come from the spread
between queries (jackknife for the ratios).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from landmark_ops.numerics.query_sums import QuerySums

F64 = NDArray[np.float64]


class Estimate(NamedTuple):
    """A value with its standard error."""

    value: float
    standard_error: float


class Quality(NamedTuple):
    """Quality of an embedding on a sample; `neighbors` is the k of the neighbourhood measures."""

    stress: Estimate
    residual_variance: Estimate
    trustworthiness: Estimate
    continuity: Estimate
    recall: Estimate
    neighbors: int
    queries: int
    sample: int


def summarize(parts: list[QuerySums], neighbors: int, sample: int) -> Quality:
    """Put the queries together.

    stress = sqrt(sum (o - e)^2 / sum o^2), Kruskal's stress-1 with the original distances as disparities;
    residual variance = 1 - R^2 of embedded against original distances (Tenenbaum et al. 2000).
    """
    sums = QuerySums(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))
    return Quality(
        _ratio(sums, _stress),
        _ratio(sums, _residual_variance),
        _mean(sums.trustworthiness),
        _mean(sums.continuity),
        _mean(sums.recall),
        neighbors,
        len(sums.pairs),
        sample,
    )


def _stress(sums: QuerySums) -> F64:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.sqrt(sums.misfit2 / sums.original2)


def _residual_variance(sums: QuerySums) -> F64:
    n = sums.pairs
    covariance = sums.product / n - sums.original / n * sums.embedded / n
    spread = (sums.original2 / n - (sums.original / n) ** 2) * (sums.embedded2 / n - (sums.embedded / n) ** 2)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(1 - covariance**2 / spread)


def _ratio(sums: QuerySums, statistic: Callable[[QuerySums], F64]) -> Estimate:
    """A statistic of the summed queries with its jackknife standard error over queries."""
    totals = QuerySums(*(column.sum(keepdims=True) for column in sums))
    value = float(statistic(totals)[0])
    q = len(sums.pairs)
    if q < 2:
        return Estimate(value, float("nan"))
    without = statistic(QuerySums(*(total - column for total, column in zip(totals, sums, strict=True))))
    with np.errstate(invalid="ignore"):  # two or three rows leave nothing to correlate
        return Estimate(value, float(np.sqrt((q - 1) / q * np.sum((without - without.mean()) ** 2))))


def _mean(values: F64) -> Estimate:
    q = len(values)
    return Estimate(float(values.mean()), float(values.std(ddof=1) / np.sqrt(q)) if q > 1 else float("nan"))

"""SciPy's metrics of numbers that take no parameters."""

from __future__ import annotations

from landmark_ops.numerics.domains import Domain, histogram, not_zero
from landmark_ops.numerics.metric import METRICS
from landmark_ops.numerics.scipy_metric import ScipyMetric

METRICS.register(ScipyMetric("cityblock", ("l1", "manhattan")))
METRICS.register(ScipyMetric("chebyshev", ("infinity",)))
METRICS.register(ScipyMetric("canberra"))
METRICS.register(ScipyMetric("hamming", has_means=False))
METRICS.register(
    ScipyMetric(
        "braycurtis",
        triangle=False,
        domain=Domain(not_zero, "are zero rows, metric braycurtis is undefined between two of them", "drop them"),
    )
)
METRICS.register(
    ScipyMetric(
        "jensenshannon",
        domain=Domain(
            histogram,
            "hold negative values or nothing but zeros, metric jensenshannon is defined for histograms (>= 0)",
            "choose another, or clean the source",
        ),
    )
)

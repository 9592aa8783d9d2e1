"""SciPy's metrics between rows of 0 and 1."""

from __future__ import annotations

from landmark_ops.numerics.domains import Domain, some_ones, zero_or_one
from landmark_ops.numerics.metric import METRICS
from landmark_ops.numerics.scipy_metric import ScipyMetric


class Boolean(ScipyMetric):
    """Compares booleans; `of_zeros`: whether it is defined between zero rows."""

    dtype = bool

    def __init__(self, name: str, of_zeros: bool = True) -> None:
        super().__init__(name, has_means=False)
        if of_zeros:
            words = f"hold values other than 0 and 1, metric {name} compares booleans"
            self.domain = Domain(zero_or_one, words, "threshold them")
        else:
            words = (
                f"hold values other than 0 and 1, or only 0; metric {name} compares booleans and is undefined between "
                "zero rows"
            )
            self.domain = Domain(some_ones, words, "threshold them, or drop zero rows")


METRICS.register(Boolean("jaccard"))
METRICS.register(Boolean("rogerstanimoto"))
METRICS.register(Boolean("russellrao"))
METRICS.register(Boolean("yule"))
METRICS.register(Boolean("dice", of_zeros=False))
METRICS.register(Boolean("sokalsneath", of_zeros=False))

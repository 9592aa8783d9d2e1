"""The error of landmarks on measured rows, by which choices of landmarks are compared.

Of a kernel it is the relative trace error of all Nystrom features, of distances the share of the rows' variance that
Landmark MDS does not place. Each method's section says which is measured (`MethodSection.unexplained`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np

from landmark_ops.errors import InputError
from landmark_ops.maps.landmark_map import LandmarkMap
from landmark_ops.maps.pair_errors import PAIR_ROWS, stress
from landmark_ops.maps.trace_error import ExplainedSums, trace_error
from landmark_ops.maps.variance import variance_terms
from landmark_ops.numerics.distances import Array, transform_rows
from landmark_ops.numerics.kernel import Kernel
from landmark_ops.numerics.metric import Metric
from landmark_ops.numerics.random_streams import Stream, generator
from landmark_ops.solver.classical_scaling import scale_rows
from landmark_ops.solver.features import nystrom_features
from landmark_ops.solver.method import NEGATIVE_MASS

STRESS_ROWS = 1000
WIDEST = 4096  # features up to which the best linear projection is worked out


class Errors(NamedTuple):
    """The errors of one choice of landmarks: `share` is a fraction of 1; `stress` of distances, None for kernels."""

    share: float
    stress: float | None = None


class Bound(NamedTuple):
    """An error that no choice of landmarks can come below, and its name."""

    name: str
    error: float


class Unexplained(Protocol):
    """An error: its name, and how it is measured."""

    @property
    def block(self) -> Kernel | Metric:
        """The kernel or metric, with its parameters fixed."""
        ...

    @property
    def metric(self) -> Metric:
        """The geometry of strategies that look at distances."""
        ...

    @property
    def bound(self) -> Bound | None:
        """The least possible error, where that is known."""
        ...

    @property
    def measure(self) -> str:
        """The name of the error."""
        ...

    @property
    def meaning(self) -> str:
        """How it is defined and measured, in a sentence or two."""
        ...

    def place(self, Z: Array, dtype: np.dtype[Any]) -> LandmarkMap:
        """The map of landmarks Z (m, d) whose residuals are the error; InputError where they allow none."""
        ...

    def errors(self, fitted: LandmarkMap, sums: ExplainedSums) -> Errors:
        """From the sums over the measured rows under that map."""
        ...


@dataclass(frozen=True)
class KernelTrace:
    """Of the kernel; `as_given`: whether its bandwidth is the user's. `metric`: the one its landmarks are spread by."""

    block: Kernel
    metric: Metric
    as_given: bool

    bound: Bound | None = None
    measure = "relative trace error"

    @property
    def meaning(self) -> str:
        """The formula, and the kernel."""
        how = "as configured" if self.as_given else "median rule on sampled rows"
        return (
            "Relative trace error: Σ(k(x, x) − |f(x)|²) / Σk(x, x) with all Nystrom features f of the landmarks, the "
            "share of the kernel they leave unexplained, exact over the measured rows. Kernel "
            f"{self.block.name}, gamma {self.block.gamma:.6g} ({how}), the same for all strategies."
        )

    def place(self, Z: Array, dtype: np.dtype[Any]) -> LandmarkMap:
        """All Nystrom features; InputError where these may explain more of a row than there is of it."""
        solution = nystrom_features(self.block, Z, dtype)
        if solution.negative_mass > NEGATIVE_MASS:
            raise InputError(
                f"kernel {self.block.name} is not positive semidefinite on these landmarks "
                f"({solution.negative_mass:.1%} of its spectrum is negative): it has no trace error to compare by"
            )
        return solution.map

    def errors(self, fitted: LandmarkMap, sums: ExplainedSums) -> Errors:
        """The trace error."""
        return Errors(trace_error(sums).value)


@dataclass(frozen=True, eq=False)
class DistanceShare:
    """The unexplained share of distances, by Landmark MDS in k components; X (r, d) are the measured rows."""

    block: Metric
    k: int
    X: Array
    variance: float
    bound: Bound | None

    measure = "unexplained share"

    @classmethod
    def of(cls, block: Metric, k: int, X: Array) -> DistanceShare:
        """InputError where all rows coincide."""
        return cls(block, k, X, total_variance(X, block), least_share(X, block, k))

    @property
    def metric(self) -> Metric:
        """The metric itself."""
        return self.block

    @property
    def meaning(self) -> str:
        """The formula."""
        return (
            f"Unexplained share: the mean squared {self.block.name} distance of rows from where {self.k} components "
            "place them, relative to the total variance of the rows (half the mean squared distance between two of "
            "them)."
        )

    def place(self, Z: Array, dtype: np.dtype[Any]) -> LandmarkMap:
        """Landmark MDS."""
        return scale_rows(Z, self.k, self.block.name, self.block.params).map

    def errors(self, fitted: LandmarkMap, sums: ExplainedSums) -> Errors:
        """The share of the variance, and stress on some of the rows."""
        few = generator(0, Stream.COMPARED_STRESS).permutation(self.X)[:STRESS_ROWS]
        placed = fitted(np.asarray(few, np.float64))
        has = np.isfinite(placed).all(axis=1)
        share = sums.residual / max(sums.rows, 1) / self.variance
        return Errors(share, stress(few[has], placed[has], self.block, len(self.X)).value)


def total_variance(X: Array, metric: Metric) -> float:
    """Half the mean squared distance between two rows; for metrics that are not Euclidean, of some of them.

    Raises InputError where all rows coincide.
    """
    few = X if metric.transform is not None else generator(0, Stream.COMPARED_PAIRS).permutation(X)[:PAIR_ROWS]
    with np.errstate(invalid="ignore"):
        variance = float(np.nanmean(variance_terms(defined(few, metric), metric)))
    if not variance > 0:
        raise InputError(
            f"all {len(X):,} measured rows coincide under {metric.name}: the data is constant, there is nothing to "
            "compare; check the source and its array or columns"
        )
    return variance


def least_share(X: Array, metric: Metric, k: int) -> Bound | None:
    """The least error of k components: PCA of the measured rows. Only Euclidean geometry has such a bound."""
    if metric.transform is None or X.shape[1] > WIDEST:
        return None
    rows = transform_rows(np.asarray(defined(X, metric), np.float64), metric.transform)
    values = np.linalg.eigvalsh(np.cov(rows, rowvar=False, bias=True).reshape(X.shape[1], X.shape[1]))
    left = float(values[: max(len(values) - k, 0)].clip(min=0).sum() / values.sum())
    return Bound(f"PCA, the least that {k} components leave", left) if left > 1e-12 else None


def defined(X: Array, metric: Metric) -> Array:
    """The rows that have a direction, where the metric needs one."""
    return X if metric.transform is None else X[np.isfinite(transform_rows(X, metric.transform)).all(axis=1)]

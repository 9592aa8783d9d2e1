"""Landmark MDS: classical scaling of the landmarks, every other row placed by its distances to them.

de Silva & Tenenbaum, "Sparse multidimensional scaling using landmark points", Stanford 2004.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from landmark_ops.errors import InputError, Word
from landmark_ops.maps.moments import Moments, moments
from landmark_ops.maps.tally import landmark_refusal
from landmark_ops.numerics.callables import check_callable
from landmark_ops.numerics.distances import (
    Array,
    Callback,
    Metric,
    resolve_metric,
    sq_dists,
)
from landmark_ops.numerics.eigen import fix_signs, symmetric_eigen
from landmark_ops.solver.classical_scaling import scale_landmarks
from landmark_ops.solver.geometry import metric_before_landmarks
from landmark_ops.solver.method import (
    KernelChoice,
    Probe,
    Solution,
    check_sums,
)
from landmark_ops.solver.precomputed import check_precomputed


@dataclass(frozen=True)
class LandmarkMDSMethod:
    """Landmark MDS as a `Method`."""

    n_components: int = 2
    metric: str | Callback = "euclidean"
    metric_params: Mapping[str, Any] | None = None
    align: bool = False

    choice: KernelChoice | None = None

    @property
    def passes(self) -> int:
        """Only the final PCA alignment looks at all rows."""
        return int(self.align)

    def with_gamma(self, gamma: float) -> LandmarkMDSMethod:
        """No kernel, nothing to fix."""
        return self

    def selection_metric(self, probe: Probe) -> Metric:
        """The metric itself, V and VI estimated from `probe` where they are left out."""
        if self.metric == "precomputed":
            raise InputError(
                f"metric precomputed: rows are distances to landmarks that are chosen already: use {Word.GIVEN_ROWS}, "
                "in the order of the columns"
            )
        return metric_before_landmarks(self.metric, self.metric_params, probe)

    def solve(self, Z: Array, dtype: np.dtype[Any]) -> Generator[Any, Any, Solution]:
        """Scale the landmarks, and turn everything onto the axes of all rows if asked to."""
        started = self.start(Z, dtype)
        if not self.align:
            return started
        return self.finish(started, (yield moments(started.map)))

    def start(self, Z: Array, dtype: np.dtype[Any]) -> Solution:
        """Classical scaling of the landmarks."""
        Z64 = np.asarray(Z, np.float64)
        metric = resolve_metric(self.metric, self.metric_params, Z64)
        if metric.name == "precomputed":
            check_precomputed(Z64)
        D = np.asarray(sq_dists(Z64, Z64, metric), np.float64)
        if metric.fn is not None:
            check_callable(np.sqrt(D), metric.fn, metric.blockwise, Z64, metric.params, "metric")
        if not np.isfinite(D).all():
            raise landmark_refusal(metric, Z64)
        if not (D > 0).any() and metric.transform == "none" and (Z64[0] != Z64).any():
            raise InputError(
                f"metric {metric.name}: the landmarks lie so near each other that squares of their distances are 0 in "
                "float64: multiply the rows by a power of ten"
            )
        if not (D > 0).any():
            raise InputError(
                f"all {len(Z)} landmarks are identical under {metric.name}: the data is constant, there is nothing "
                "to embed; check the source and its array or columns"
            )
        return scale_landmarks(D, Z, metric, self.n_components)

    def finish(self, solution: Solution, moments: Moments) -> Solution:
        """Rotate onto the principal axes of all rows, centred on their mean; distances do not change.

        Eigenvalues become the variances of all rows along the new axes.
        """
        axes = symmetric_eigen(check_sums(moments, solution.map.block).covariance)
        rotation = fix_signs(axes.vectors)
        embedding = (solution.embedding - moments.mean) @ rotation
        return solution._replace(
            map=solution.map.rotated(rotation, moments.mean), embedding=embedding, eigenvalues=axes.values
        )

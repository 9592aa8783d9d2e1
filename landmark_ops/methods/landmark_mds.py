"""Landmark MDS: classical scaling of the landmarks, every other row placed by its distances to them.

de Silva & Tenenbaum, "Sparse multidimensional scaling using landmark points", Stanford 2004.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from pydantic import JsonValue, PositiveInt

from landmark_ops.errors import InputError, Word
from landmark_ops.maps.landmark_map import LandmarkMap
from landmark_ops.maps.moments import Moments, moments
from landmark_ops.numerics.callables import Callback
from landmark_ops.numerics.distances import Array
from landmark_ops.numerics.eigen import fix_signs, symmetric_eigen
from landmark_ops.numerics.metric import METRICS, Metric, metric_before_landmarks, resolve_metric
from landmark_ops.solver.classical_scaling import scale_rows
from landmark_ops.solver.method import Probe, Solution, WithoutKernel, check_sums
from landmark_ops.solver.section import METHODS, MethodSection
from landmark_ops.solver.unexplained import DistanceShare, Unexplained


@dataclass(frozen=True)
class LandmarkMDSMethod(WithoutKernel):
    """Landmark MDS as a `Method`."""

    n_components: int = 2
    metric: str | Callback = "euclidean"
    metric_params: Mapping[str, Any] | None = None
    align: bool = False

    @property
    def passes(self) -> int:
        """Only the final PCA alignment looks at all rows."""
        return int(self.align)

    def selection_metric(self, probe: Probe) -> Metric:
        """The metric itself, V and VI estimated from `probe` where they are left out.

        Raises InputError for metric precomputed, under which landmarks are given.
        """
        if not callable(self.metric) and METRICS[self.metric].precomputed:
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
        return scale_rows(Z, self.n_components, self.metric, self.metric_params)

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


@METHODS.register
class LandmarkMDSConfig(MethodSection):
    """Landmark MDS."""

    title = "Landmark MDS"
    spectrum_of = "the centred distances"
    compared = True
    solver = LandmarkMDSMethod

    name: Literal["landmark_mds"] = "landmark_mds"
    n_components: PositiveInt = 10
    metric: str = "euclidean"
    metric_params: dict[str, JsonValue] | None = None
    align: bool = False

    def check_names(self) -> None:
        """InputError for a metric that is unknown."""
        METRICS[self.metric]  # raises

    @property
    def fewest_compared(self) -> int:
        """One more than components."""
        return self.n_components + 1

    def unexplained(self, probe: Array, X: Array) -> Unexplained:
        """Of the distances."""
        return DistanceShare.of(resolve_metric(self.metric, self.metric_params, probe), self.n_components, X)

    def timed_map(self, Z: Array, dtype: np.dtype[Any]) -> LandmarkMap:
        """Its own map."""
        return scale_rows(Z, self.n_components, self.metric, self.metric_params).map

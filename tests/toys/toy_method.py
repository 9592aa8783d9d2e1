"""A method: Landmark MDS with its coordinates seen in a mirror, `mirrored_mds`."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from pydantic import PositiveInt

from landmark_ops.numerics.distances import Array
from landmark_ops.numerics.metric import Metric
from landmark_ops.solver.classical_scaling import scale_rows
from landmark_ops.solver.method import Probe, Solution, WithoutKernel
from landmark_ops.solver.section import METHODS, Cost, MethodSection, Sizes
from landmark_ops.solver.unexplained import DistanceShare, Unexplained

TASK_BYTES = 3 << 20


@dataclass(frozen=True)
class MirroredMDSMethod(WithoutKernel):
    """Every coordinate of Landmark MDS times -1."""

    n_components: int = 2

    passes = 4

    def selection_metric(self, probe: Probe) -> Metric:
        return Metric("euclidean")

    def solve(self, Z: Array, dtype: np.dtype[Any]) -> Generator[Any, Any, Solution]:
        yield from ()
        scaled, k = scale_rows(Z, self.n_components), self.n_components
        facts = {"mirrors": 1.0}
        return scaled._replace(
            map=scaled.map.rotated(-np.eye(k), np.zeros(k)), embedding=-scaled.embedding, facts=facts
        )


@METHODS.register
class MirroredMDSConfig(MethodSection):
    """Mirrored MDS."""

    title = "Mirrored MDS"
    spectrum_of = "the mirrored distances"
    residuals_are = "what no mirror shows"
    compared = True
    solver = MirroredMDSMethod

    name: Literal["mirrored_mds"]
    n_components: PositiveInt = 3

    def cost(self, sizes: Sizes) -> Cost:
        return Cost(task=TASK_BYTES)

    def unexplained(self, probe: Array, X: Array) -> Unexplained:
        return DistanceShare.of(Metric("euclidean"), self.n_components, X)

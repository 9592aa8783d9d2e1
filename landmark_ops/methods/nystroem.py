"""Nystrom feature map: explicit features whose inner products are the best kernel the landmarks can express.

Williams & Seeger, "Using the Nystrom method to speed up kernel machines", NIPS 2000.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from pydantic import PositiveInt

from landmark_ops.numerics.distances import Array
from landmark_ops.numerics.kernel import KernelChoice
from landmark_ops.solver.features import nystrom_features
from landmark_ops.solver.kernel_section import KernelSection
from landmark_ops.solver.method import DEFAULT_KERNEL, OfKernel, Solution
from landmark_ops.solver.section import METHODS


@dataclass(frozen=True)
class NystroemMethod(OfKernel):
    """The Nystrom feature map as a `Method`."""

    n_components: int | None = None
    kernel: KernelChoice = DEFAULT_KERNEL

    passes = 0

    def solve(self, Z: Array, dtype: np.dtype[Any]) -> Generator[Any, Any, Solution]:
        """The landmarks are all it takes."""
        yield from ()
        return self.start(Z, dtype)

    def start(self, Z: Array, dtype: np.dtype[Any]) -> Solution:
        """The features; see `nystrom_features`."""
        return nystrom_features(self.kernel, Z, dtype, self.n_components)


@METHODS.register
class NystroemConfig(KernelSection):
    """Nystrom features."""

    title = "Nystrom features"
    solver = NystroemMethod

    name: Literal["nystroem"]
    n_components: PositiveInt | None = None

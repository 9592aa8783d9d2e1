"""The base of the sections of all kernel methods: the kernel and its parameters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from landmark_ops.maps.landmark_map import LandmarkMap
from landmark_ops.maps.moments import SUM_ROWS
from landmark_ops.numerics.distances import Array
from landmark_ops.numerics.kernel import KERNELS, PARAMETERS, KernelChoice
from landmark_ops.solver.features import nystrom_features
from landmark_ops.solver.method import Method
from landmark_ops.solver.section import Cost, MethodSection, Sizes
from landmark_ops.solver.unexplained import KernelTrace, Unexplained


class KernelSection(MethodSection, KernelChoice):
    """Kernel parameters, shared by all kernel methods."""

    compared = True

    kernel: str = "rbf"

    @classmethod
    def method_of(cls, parameters: Mapping[str, Any], seed: int = 0) -> Method:
        """The method with these parameters, those of the kernel put together."""
        of_kernel = {"kernel", *PARAMETERS}
        kernel = KernelChoice(**{key: value for key, value in parameters.items() if key in of_kernel})
        own = cls.model_fields.keys() - of_kernel - {"name"}
        made: Method = cls.solver(kernel=kernel, **{key: value for key, value in parameters.items() if key in own})
        return made

    def check_names(self) -> None:
        """InputError for a kernel that is unknown."""
        KERNELS[self.kernel]  # raises

    def cost(self, sizes: Sizes) -> Cost:
        """Sums of products of features, (m, m), and the tiles that are summed."""
        if not self.make().passes:
            return Cost()
        m, itemsize = sizes.m, sizes.itemsize
        return Cost(task=m * m * (8 + itemsize) * 2 + SUM_ROWS * m * itemsize * 2)

    def unexplained(self, probe: Array, X: Array) -> Unexplained:
        """Of the kernel."""
        method = self.make()
        assert method.choice is not None
        kernel = method.choice.resolve(np.asarray(probe, np.float64))
        return KernelTrace(kernel, method.selection_metric(lambda: probe), bool(self.gamma))

    def timed_map(self, Z: Array, dtype: np.dtype[Any]) -> LandmarkMap:
        """The features of its kernel, as many as it has components."""
        choice = self.make().choice
        assert choice is not None
        fitted = nystrom_features(choice, Z, dtype).map
        k = min(self.width(len(Z)), fitted.n_components)
        return replace(fitted, readout=fitted.readout[:, :k], offset=fitted.offset[:k])

"""The metric that a strategy of distances uses for a kernel."""

from __future__ import annotations

from landmark_ops.errors import InputError
from landmark_ops.numerics.callables import Callback
from landmark_ops.numerics.kernel import KernelChoice
from landmark_ops.selection.strategy import Strategy


def kernel_metric(kernel: str | Callback, metric: str | Callback, strategy: Strategy) -> tuple[str, str]:
    """The metric that a strategy uses for a kernel, and an addition to the note. Raises InputError if there is none."""
    if metric != "euclidean":
        raise InputError(f"got kernel={kernel!r} and metric={metric!r}, only one of them can be used: drop one")
    family = KernelChoice(kernel).family
    if family.precomputed:
        raise InputError(
            f"kernel {family.name}: rows are values with landmarks chosen already, by which no others can be chosen: "
            "use strategy given"
        )
    if family.geometry is None and strategy.by_metric and not strategy.any_kernel:
        raise InputError(
            f"strategy {strategy.name}: a {family.name} kernel has no known geometry: pass a metric instead, or choose "
            "strategy uniform"
        )
    if not strategy.by_metric or not (family.geometry is None or family.roughly):
        return family.geometry or "euclidean", ""
    if family.geometry is None:
        return "euclidean", f"; {family.name} kernel: chosen in Euclidean geometry"
    return family.geometry, f"; kernel {kernel}: chosen in Euclidean geometry, which it only roughly shares"

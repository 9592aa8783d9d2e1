"""The metric that a strategy of distances uses for a kernel, and metrics with their parameters resolved."""

from __future__ import annotations

import numpy as np

from landmark_ops.engine.threads import LocalEngine
from landmark_ops.errors import InputError
from landmark_ops.numerics.callables import Callback
from landmark_ops.numerics.kernel import KernelChoice
from landmark_ops.numerics.metric import METRICS, Metric, resolve_metric
from landmark_ops.selection.probe import probe_rows
from landmark_ops.selection.strategy import Strategy
from landmark_ops.stores.sources.rows import Rows


def estimated_metric(metric: str | Callback, rows: Rows, seed: int) -> Metric:
    """A metric with its parameters resolved: V, VI and the kind of a callable from a uniform sample of rows."""
    if not callable(metric) and not METRICS[metric].estimated:
        return resolve_metric(metric, None, np.zeros((1, rows.d)))
    return resolve_metric(metric, None, probe_rows(rows, seed, LocalEngine()))


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

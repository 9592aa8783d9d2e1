"""The geometry in which landmarks are chosen for a method: the metric or kernel that its strategy uses."""

from __future__ import annotations

from collections.abc import Callable

from landmark_ops.numerics.distances import Array
from landmark_ops.numerics.kernel import Kernel
from landmark_ops.numerics.metric import METRICS, Metric
from landmark_ops.selection.strategy import STRATEGIES
from landmark_ops.solver.method import Method


def selection_geometry(
    strategy: str, method: Method, probe: Callable[[], Array]
) -> tuple[Metric | None, Kernel | None]:
    """The metric, or the kernel with its bandwidth, that a strategy chooses by; neither where it uses none.

    `probe` draws the rows (s, d) that a bandwidth, V or VI left out is taken from, and is called only then.
    """
    known = STRATEGIES[strategy]
    if known.by_kernel and method.choice is not None:
        return None, method.choice.resolve(probe())
    return (method.selection_metric(probe) if known.by_metric else None), None


def named_block(method: Method) -> Metric | Kernel | None:
    """The metric or kernel of a method by its name alone, for its domain; None for a callable or neither."""
    if method.choice is not None:
        return None if callable(method.choice.kernel) else Kernel(method.choice.canonical)
    metric = method.metric
    return None if metric is None or callable(metric) else Metric(METRICS[metric].name)


def with_bandwidth(method: Method, kernel: Kernel | None) -> Method:
    """The method with the bandwidth its landmarks were chosen by, where it left its own open for the same kernel."""
    choice = method.choice
    if kernel is None or choice is None or choice.gamma is not None or choice.canonical != kernel.name:
        return method
    return method.with_gamma(kernel.gamma)

"""In which metric a strategy of distances sees a kernel, and metrics with their parameters resolved."""

from __future__ import annotations

import numpy as np

from landmark_ops.engine.threads import LocalEngine
from landmark_ops.errors import InputError
from landmark_ops.numerics.distances import Callback, Metric, canonical, resolve_metric
from landmark_ops.selection.probe import probe_rows
from landmark_ops.selection.strategy import Strategy
from landmark_ops.stores.sources.rows import Rows

#: The metric whose order of distances a kernel shares; those named APPROXIMATE only roughly.
GEOMETRY = {
    "rbf": "euclidean",
    "gaussian": "euclidean",
    "matern": "euclidean",
    "linear": "euclidean",
    "laplacian": "cityblock",
    "cosine": "cosine",
    "chi2": "euclidean",
    "polynomial": "euclidean",
    "poly": "euclidean",
    "sigmoid": "euclidean",
}
APPROXIMATE = ("chi2", "polynomial", "poly", "sigmoid")
ESTIMATED = ("seuclidean", "mahalanobis")


def estimated_metric(metric: str | Callback, rows: Rows, seed: int) -> Metric:
    """A metric with its parameters resolved: V, VI and the kind of a callable from a uniform sample of rows."""
    if not callable(metric) and canonical(metric) not in ESTIMATED:
        return resolve_metric(metric, None, np.zeros((1, rows.d)))
    return resolve_metric(metric, None, probe_rows(rows, seed, LocalEngine()))


def kernel_metric(kernel: str | Callback, metric: str | Callback, strategy: Strategy) -> tuple[str, str]:
    """The metric in which a strategy sees a kernel, and what to add to the note. Raises InputError if there is none."""
    if metric != "euclidean":
        raise InputError(f"got kernel={kernel!r} and metric={metric!r}, only one of them can be used: drop one")
    if callable(kernel):
        if strategy.by_metric and not strategy.any_kernel:
            raise InputError(
                f"strategy {strategy.name}: a callable kernel has no known geometry: pass a metric instead, or choose "
                "strategy uniform"
            )
        return "euclidean", "; callable kernel: chosen in Euclidean geometry" if strategy.by_metric else ""
    if kernel not in GEOMETRY:
        raise InputError(f"kernel {kernel!r} is unknown: choose one of {', '.join(GEOMETRY)}")
    rough = kernel in APPROXIMATE and strategy.by_metric
    note = f"; kernel {kernel}: chosen in Euclidean geometry, which it only roughly shares" if rough else ""
    return GEOMETRY[kernel], note

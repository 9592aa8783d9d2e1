"""`select_landmarks`: landmarks for those who call from Python with arrays of any kind."""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any

from numpy.typing import ArrayLike

from landmark_ops.engine.threads import LocalEngine
from landmark_ops.errors import Edge, InputError, check_argument, speaks
from landmark_ops.numerics.callables import Callback
from landmark_ops.numerics.kernel import Kernel, resolve_kernel
from landmark_ops.numerics.metric import METRICS, Metric, metric_before_landmarks
from landmark_ops.numerics.random_streams import RandomState, as_seed
from landmark_ops.selection.geometry import kernel_metric
from landmark_ops.selection.landmarks import Landmarks
from landmark_ops.selection.probe import probe_rows
from landmark_ops.selection.request import Request
from landmark_ops.selection.selection import named_strategy, select


@speaks(Edge.CALL)
def select_landmarks(
    X: Any,
    m: int,
    strategy: str = "uniform",
    *,
    metric: str | Callback = "euclidean",
    kernel: str | Callback | None = None,
    gamma: float | None = None,
    degree: float = 3.0,
    coef0: float = 1.0,
    nu: float = 1.5,
    tolerance: float | None = None,
    random_state: RandomState = None,
    indices: ArrayLike | None = None,
    points: ArrayLike | None = None,
) -> Landmarks:
    """Choose m landmarks among the rows of X: an ndarray, dask array, zarr array or `Rows`, (n, d), of any size.

    strategy: uniform, maxmin (farthest first), kmeans (centres), leverage and bless (by ridge leverage score),
    rpcholesky (by residual, at random), greedy (largest fall of the trace error), active (largest residual, with few
    evaluations), or given (your own `indices` or `points`).
    kernel: what leverage, bless, rpcholesky and greedy choose by, rbf if left out, with gamma from the median distance
    within a sample of rows if left out. active takes it or `metric`. maxmin and kmeans choose in its geometry, which
    gamma does not change.
    tolerance: for rpcholesky, the relative trace error at which fewer than m landmarks are enough.
    random_state: an int, RandomState or Generator; None draws a new seed.

    Raises InputError for a strategy, metric or kernel that do not go together, and for rows that cannot be used.

    >>> import numpy as np
    >>> X = np.array([[0.0], [1.0], [10.0], [11.0]])
    >>> sorted(select_landmarks(X, 4, "maxmin", random_state=0).indices.tolist())
    [0, 1, 2, 3]
    """
    from landmark_ops.stores.sources.arrays import as_rows

    check_argument("strategy", strategy, str, "a name")
    for name, value in (("metric", metric), ("kernel", kernel)):
        if value is not None and not callable(value):
            check_argument(name, value, str, "a name or a function")
    given = {"gamma": gamma, "degree": degree, "coef0": coef0, "nu": nu, "tolerance": tolerance}
    for name, number in given.items():
        if number is not None:
            check_argument(name, number, Real, "a number")
    rows, engine = as_rows(X), LocalEngine()
    seed = as_seed(random_state)
    note = ""
    looks: Kernel | None = None
    resolved: Metric | None = None
    known = named_strategy(strategy)
    if known.needs_kernel or (known.by_kernel and kernel is not None):
        if metric != "euclidean":
            raise InputError(f"strategy {strategy} chooses by a kernel, got metric={metric!r}: give kernel= instead")
        sample = probe_rows(rows, seed, engine)
        looks = resolve_kernel(kernel or "rbf", sample, gamma=gamma, degree=degree, coef0=coef0, nu=nu)
        note = "" if callable(kernel) else f"; {looks.name}, gamma {looks.gamma:.6g}"
    else:
        if kernel is not None:
            metric, note = kernel_metric(kernel, metric, known)
        if known.by_metric and isinstance(m, Integral) and 1 <= m <= rows.n:
            resolved = metric_before_landmarks(metric, None, lambda: probe_rows(rows, seed, engine))
        elif not callable(metric):
            resolved = Metric(METRICS[metric].name)
    ask = Request(rows, m, seed, engine, resolved, indices=indices, points=points, kernel=looks, tolerance=tolerance)
    chosen = select(strategy, ask)
    return chosen._replace(note=chosen.note + note)

"""Choose landmarks by the name of a strategy: `select` for flows, `select_landmarks` for people.

A new strategy is one file with one function from a `Request` to `Landmarks`, and one line in `STRATEGIES`.
"""

from __future__ import annotations

from collections.abc import Callable
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from landmark_ops.engine.engine import Done, Engine, LocalEngine
from landmark_ops.errors import Edge, InputError, Word, speaks
from landmark_ops.numerics.distances import Array, Callback, Metric, canonical, resolve_metric
from landmark_ops.numerics.kernel import Kernel, resolve_kernel
from landmark_ops.numerics.random_streams import Stream, derived_seed
from landmark_ops.selection.active import select_active
from landmark_ops.selection.bless import select_bless
from landmark_ops.selection.given import select_given
from landmark_ops.selection.greedy import select_greedy
from landmark_ops.selection.kmeans import select_kmeans
from landmark_ops.selection.landmarks import Landmarks, Planned, Request, Rule
from landmark_ops.selection.leverage import select_leverage
from landmark_ops.selection.maxmin import select_maxmin
from landmark_ops.selection.pivots import one_blas_thread
from landmark_ops.selection.rpcholesky import select_rpcholesky
from landmark_ops.selection.uniform import draw_rows, select_uniform
from landmark_ops.stores.sources.rows import Rows

STRATEGIES: dict[str, Callable[[Request], Landmarks]] = {
    "uniform": select_uniform,
    "maxmin": select_maxmin,
    "kmeans": select_kmeans,
    "leverage": select_leverage,
    "bless": select_bless,
    "rpcholesky": select_rpcholesky,
    "greedy": select_greedy,
    "active": select_active,
    "given": select_given,
}
USES_METRIC = ("maxmin", "kmeans")
USES_KERNEL = ("leverage", "bless", "rpcholesky", "greedy")
USES_EITHER = ("active",)  # a kernel where there is one, else a metric
USES_TOLERANCE = ("rpcholesky",)
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
PROBE_ROWS = 1000  # rows from which parameters of a metric are estimated where landmarks do not exist yet
SEEDS = 1 << 63

RandomState = int | np.random.RandomState | np.random.Generator | None


def select(
    rows: Rows,
    count: int,
    strategy: str,
    *,
    seed: int,
    engine: Engine,
    metric: Rule = None,
    skip_bad_rows: bool = False,
    indices: ArrayLike | None = None,
    points: ArrayLike | None = None,
    done: Done | None = None,
    planned: Planned | None = None,
    kernel: Kernel | None = None,
    tolerance: float | None = None,
) -> Landmarks:
    """Choose `count` landmarks among `rows`: the same ones for one seed, whatever the chunks, workers and engine.

    `Request` explains the keywords; a kernel is not looked at by strategies that are not in USES_KERNEL or
    USES_EITHER. Raises InputError for an unknown strategy, a count below 1 or above n, a missing kernel, and what the
    strategy refuses.
    """
    check_strategy(strategy)
    if not isinstance(count, Integral) or isinstance(count, bool):
        raise InputError(f"{Word.COUNT} is {count!r}, a whole number is needed")
    if count < 1:
        raise InputError(f"{Word.COUNT} is {count}, at least 1 is needed: raise {Word.COUNT}")
    if count > rows.n and strategy != "given":
        raise InputError(
            f"{Word.COUNT} is {count}, {rows.uri} has {rows.n} rows: lower {Word.COUNT} to at most {rows.n}"
        )
    if not 0 <= seed < SEEDS:
        raise InputError(f"{Word.SEED} is {seed}, needs 0 to 2^63 - 1: choose another")
    if strategy != "given" and (indices is not None or points is not None):
        raise InputError(f"{Word.STRATEGY} {strategy} takes no indices or points: use strategy given for them")
    if strategy in USES_KERNEL and kernel is None:
        raise InputError(
            f"{Word.STRATEGY} {strategy} chooses by a kernel, got none: use a method with a kernel, give kernel=, "
            "or choose strategy uniform, maxmin or kmeans"
        )
    looks_at = (kernel or metric or Metric("euclidean")) if strategy in (*USES_KERNEL, *USES_EITHER) else None
    if looks_at is not None and looks_at.name == "precomputed":
        raise InputError(
            f"{Word.STRATEGY} {strategy} compares any two rows, which precomputed blocks do not allow: use strategy "
            "given"
        )
    if tolerance is not None and strategy not in USES_TOLERANCE:
        raise InputError(
            f"{Word.TOLERANCE} is {tolerance:g}, strategy {strategy} takes none: use strategy "
            f"{', '.join(USES_TOLERANCE)}, or leave {Word.TOLERANCE} out"
        )
    if tolerance is not None and not 0 <= tolerance < 1:
        raise InputError(f"{Word.TOLERANCE} is {tolerance}, a relative trace error is 0 to 1: choose e.g. 1e-3")
    request = Request(
        rows, count, seed, engine, metric, skip_bad_rows, indices, points, done, planned, kernel, tolerance
    )
    if looks_at is None:
        return STRATEGIES[strategy](request)
    with one_blas_thread():
        return STRATEGIES[strategy](request)


def check_strategy(strategy: str) -> None:
    """InputError for the name of no strategy."""
    if strategy not in STRATEGIES:
        raise InputError(f"{Word.STRATEGY} {strategy!r} is unknown: choose one of {', '.join(STRATEGIES)}")


def probe_rows(
    rows: Rows,
    seed: int,
    engine: Engine,
    skip_bad_rows: bool = False,
    count: int = PROBE_ROWS,
    rule: Rule = None,
) -> Array:
    """A uniform sample of min(n, count) rows, (s, d) stored dtype: where a bandwidth comes from before landmarks exist.

    The same rows for one seed, whatever the chunks, workers and engine. Fewer where bad rows may be skipped and no more
    are usable; `rule` says which are.
    """
    wanted = min(rows.n, count)
    request = Request(rows, wanted, derived_seed(seed, Stream.PROBE_ROWS), engine, rule, skip_bad_rows)
    return draw_rows(request, wanted, least=1).points


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

    >>> import numpy as np
    >>> X = np.array([[0.0], [1.0], [10.0], [11.0]])
    >>> sorted(select_landmarks(X, 4, "maxmin", random_state=0).indices.tolist())
    [0, 1, 2, 3]
    """
    from landmark_ops.stores.sources.arrays import as_rows

    rows, engine = as_rows(X), LocalEngine()
    seed = as_seed(random_state)
    note = ""
    looks: Kernel | None = None
    resolved: Metric | None = None
    if strategy in USES_KERNEL or (strategy in USES_EITHER and kernel is not None):
        if metric != "euclidean":
            raise InputError(f"strategy {strategy} chooses by a kernel, got metric={metric!r}: give kernel= instead")
        sample = probe_rows(rows, seed, engine)
        looks = resolve_kernel(kernel or "rbf", sample, gamma=gamma, degree=degree, coef0=coef0, nu=nu)
        note = "" if callable(kernel) else f"; {looks.name}, gamma {looks.gamma:.6g}"
    else:
        if kernel is not None:
            metric, note = kernel_metric(kernel, metric, strategy)
        if strategy in (*USES_METRIC, *USES_EITHER) and isinstance(m, Integral) and 1 <= m <= rows.n:
            resolved = estimated_metric(metric, rows, seed)
        elif not callable(metric):
            resolved = Metric(canonical(metric))
    chosen = select(
        rows,
        m,
        strategy,
        seed=seed,
        engine=engine,
        metric=resolved,
        indices=indices,
        points=points,
        kernel=looks,
        tolerance=tolerance,
    )
    return chosen._replace(note=chosen.note + note)


def estimated_metric(metric: str | Callback, rows: Rows, seed: int) -> Metric:
    """A metric with its parameters resolved: V, VI and the kind of a callable from a uniform sample of rows."""
    if not callable(metric) and canonical(metric) not in ESTIMATED:
        return resolve_metric(metric, None, np.zeros((1, rows.d)))
    return resolve_metric(metric, None, probe_rows(rows, seed, LocalEngine()))


def kernel_metric(kernel: str | Callback, metric: str | Callback, strategy: str) -> tuple[str, str]:
    """The metric in which a strategy sees a kernel, and what to add to the note. Raises InputError if there is none."""
    if metric != "euclidean":
        raise InputError(f"got kernel={kernel!r} and metric={metric!r}, only one of them can be used: drop one")
    if callable(kernel):
        if strategy == "maxmin":
            raise InputError(
                "strategy maxmin: a callable kernel has no known geometry: pass a metric instead, or choose strategy "
                "uniform"
            )
        return "euclidean", "; callable kernel: chosen in Euclidean geometry" if strategy == "kmeans" else ""
    if kernel not in GEOMETRY:
        raise InputError(f"kernel {kernel!r} is unknown: choose one of {', '.join(GEOMETRY)}")
    rough = kernel in APPROXIMATE and strategy in USES_METRIC
    note = f"; kernel {kernel}: chosen in Euclidean geometry, which it only roughly shares" if rough else ""
    return GEOMETRY[kernel], note


def as_seed(random_state: RandomState) -> int:
    """One seed in 0..2^63 - 1 from what scikit-learn calls a random_state. A generator is advanced by one draw."""
    if isinstance(random_state, np.random.RandomState):
        return int(random_state.randint(0, 2**31 - 1))
    if isinstance(random_state, int | np.integer) and not isinstance(random_state, bool):
        return int(random_state)
    if random_state is not None and not isinstance(random_state, np.random.Generator):
        raise InputError(f"random_state: got {random_state!r}, needs an int, numpy RandomState, Generator or None")
    generator = np.random.default_rng() if random_state is None else random_state
    return int(generator.integers(SEEDS))

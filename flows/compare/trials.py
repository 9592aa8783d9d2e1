"""The stages of the compare flow: check, settle what stays the same, try each strategy, tell."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from flows.base.stage import stage
from flows.embed.inputs import address, check_apart, check_counts, check_writable, open_source
from flows.embed.methods import kernel_of, make_method
from flows.embed.plan import check_local, landmark_count, make_plan
from flows.embed.run import Run
from flows.embed.tasks import asks, refuse_bad_rows
from landmark_ops.configs.embed import CompareConfig
from landmark_ops.configs.method import KernelConfig, LandmarkMDSConfig
from landmark_ops.errors import BadRowsError, InputError
from landmark_ops.maps.evaluation import compute_dtype
from landmark_ops.maps.landmark_map import LandmarkMap
from landmark_ops.maps.pair_errors import PAIR_ROWS, stress
from landmark_ops.maps.trace_error import ExplainedSums, trace_error
from landmark_ops.maps.variance import variance_terms
from landmark_ops.methods.landmark_mds import LandmarkMDSMethod
from landmark_ops.numerics.distances import Array, Metric, resolve_metric, transform_rows
from landmark_ops.numerics.kernel import Kernel
from landmark_ops.numerics.random_streams import SEEDS, Stream, generator
from landmark_ops.passes.map_errors import add_map_errors, map_errors_block
from landmark_ops.passes.ranges import ranges, task_rows
from landmark_ops.passes.undefined_rows import refuse_outside
from landmark_ops.report.compare.content import Floor, Trial
from landmark_ops.selection.grid import gather
from landmark_ops.selection.landmarks import Landmarks
from landmark_ops.selection.probe import probe_rows
from landmark_ops.selection.request import Request
from landmark_ops.selection.selection import select
from landmark_ops.selection.strategy import STRATEGIES, strategies
from landmark_ops.selection.usable_rows import good
from landmark_ops.solver.geometry import named_block
from landmark_ops.solver.method import NEGATIVE_MASS
from landmark_ops.solver.nystrom_error import solve_features
from landmark_ops.stores.sources.rows import ArrayRows, Rows

MEASURE_BYTES = 256 << 20  # of measured rows held by the flow and each worker: caps compare.rows for very wide rows
MEASURE_ROWS = 4096  # measured rows per task
STRESS_ROWS = 1000
WIDEST = 4096  # features up to which the best linear projection is worked out
SERIES = 4  # numbers of landmarks where none are given


class Comparison(NamedTuple):
    """A checked comparison: rows, what is compared, and the folder its page goes to."""

    rows: Rows
    fingerprint: str
    strategies: tuple[str, ...]
    counts: tuple[int, ...]
    place: str


@dataclass(frozen=True, eq=False)
class Setting:
    """What is the same for all strategies.

    `block`: the kernel or metric with its parameters fixed. `metric`: the geometry of strategies that look at
    distances. `X`: (r, d) the measured rows. `variance`: their total variance, 1 for kernels.
    """

    block: Kernel | Metric
    metric: Metric | None
    X: Array
    variance: float
    floor: Floor | None


def open_comparison(config: CompareConfig) -> Comparison:
    """Open the source and settle what is to be compared. Writes nothing; raises InputError for what cannot work."""
    check_method(config)
    rows = open_source(config)
    counts = tuple(sorted(config.compare.counts or default_counts(config, rows.n)))
    largest = config.model_copy(
        update={"landmarks": config.landmarks.model_copy(update={"count": counts[-1], "strategy": "uniform"})}
    )
    if counts[-1] > rows.n:
        raise InputError(
            f"compare.counts: {counts[-1]} exceeds the {rows.n} rows of {rows.uri}: compare at most {rows.n} landmarks"
        )
    check_counts(largest, rows, None)
    check_local(make_plan(largest, rows), rows, config.cluster)
    place = compare_address(address(config.output.uri, config))
    check_apart(rows.uri, place)
    check_writable(place)
    return Comparison(rows, rows.fingerprint(), config.compare.strategies or default_strategies(config), counts, place)


def check_method(config: CompareConfig) -> None:
    """InputError for methods whose landmarks no single error judges, and for rows that are blocks already."""
    method = config.method
    make_method(method)
    if not isinstance(method, KernelConfig | LandmarkMDSConfig):
        raise InputError(
            f"method {method.name}: compare measures what landmarks leave of a kernel or, with landmark_mds, of "
            "distances: set method.name: landmark_mds with the same metric, or a kernel method"
        )
    name = method.kernel if isinstance(method, KernelConfig) else method.metric
    if name == "precomputed":
        raise InputError(
            f"method {method.name} on precomputed blocks: their columns belong to landmarks chosen already, there is "
            "nothing to compare: give the rows themselves and a named metric or kernel"
        )


def default_strategies(config: CompareConfig) -> tuple[str, ...]:
    """All that work for the method: without a kernel, those that choose by one do not."""
    kernel = isinstance(config.method, KernelConfig)
    return tuple(one.name for one in strategies() if not one.takes_own and (kernel or not one.needs_kernel))


def default_counts(config: CompareConfig, n: int) -> tuple[int, ...]:
    """A series up to landmarks.count (1,000, or every row, where left out), each half the next."""
    top = landmark_count(config, n)
    least = config.method.n_components + 1 if isinstance(config.method, LandmarkMDSConfig) else 2
    halves = {-(-top // 2**power) for power in range(SERIES)}
    return tuple(count for count in halves if count >= least) or (top,)


def compare_address(uri: str) -> str:
    """The folder of the comparison, beside the embedding: out/patches.zarr -> out/patches.compare."""
    return f"{uri.rstrip('/').removesuffix('.zarr')}.compare"


@stage("prepare")
def prepare_stage(run: Run) -> Setting:
    """Fix the bandwidth or the metric's parameters from a sample, and draw the rows that errors are measured on."""
    config = run.config
    assert isinstance(config, CompareConfig)
    method, skip = config.method, config.source.bad_rows == "mark"
    with run.progress.stage("prepare"):
        if not skip:
            items = ranges(run.rows.n, task_rows(run.rows))
            refuse_outside(run.rows, named_block(make_method(method)), run.engine, items)
        try:
            probe = probe_rows(run.rows, config.landmarks.seed, run.engine, skip_bad_rows=skip)
        except BadRowsError as error:
            refuse_bad_rows(run, None, error)
            raise
        X = measured_rows(run, config)
        if isinstance(method, KernelConfig):
            metric = make_method(method).selection_metric(lambda: probe)
            return Setting(kernel_of(method).resolve(np.asarray(probe, np.float64)), metric, X, 1.0, None)
        assert isinstance(method, LandmarkMDSConfig)
        block = resolve_metric(method.metric, method.metric_params, probe)
        return Setting(block, block, X, total_variance(X, block), floor_of(X, block, method.n_components))


def measured_rows(run: Run, config: CompareConfig) -> Array:
    """Rows drawn uniformly, (r, d), those with NaN or Inf left out where source.bad_rows allows them."""
    n = run.rows.n
    count = min(config.compare.rows, n, max(100, MEASURE_BYTES // (run.rows.d * 8)))
    random = generator(config.landmarks.seed, Stream.COMPARED_ROWS)
    drawn = np.sort(random.choice(n, count, replace=False, shuffle=False)).astype(np.int64)
    X = gather(run.rows, drawn, run.engine)
    usable = good(X)
    if not usable.all():
        if config.source.bad_rows == "error":
            refuse_bad_rows(run, None)
        X = X[usable]
    if len(X) < 2:
        raise InputError(
            f"{run.rows.uri}: {len(X)} of {count} rows drawn to measure errors on are finite, at least 2 are needed: "
            "clean the source, or raise compare.rows"
        )
    return X


def total_variance(X: Array, metric: Metric) -> float:
    """Half the mean squared distance between two rows; for metrics that are not Euclidean, of some of them."""
    few = X if metric.transform is not None else generator(0, Stream.COMPARED_PAIRS).permutation(X)[:PAIR_ROWS]
    with np.errstate(invalid="ignore"):
        variance = float(np.nanmean(variance_terms(defined(few, metric), metric)))
    if not variance > 0:
        raise InputError(
            f"all {len(X):,} measured rows coincide under {metric.name}: the data is constant, there is nothing to "
            "compare; check the source and its array or columns"
        )
    return variance


def defined(X: Array, metric: Metric) -> Array:
    """The rows that have a direction, where the metric needs one."""
    return X if metric.transform is None else X[np.isfinite(transform_rows(X, metric.transform)).all(axis=1)]


def floor_of(X: Array, metric: Metric, k: int) -> Floor | None:
    """What k components leave at least: PCA of the measured rows. Only Euclidean geometry has such a bound."""
    if metric.transform is None or X.shape[1] > WIDEST:
        return None
    rows = transform_rows(np.asarray(defined(X, metric), np.float64), metric.transform)
    values = np.linalg.eigvalsh(np.cov(rows, rowvar=False, bias=True).reshape(X.shape[1], X.shape[1]))
    left = float(values[: max(len(values) - k, 0)].clip(min=0).sum() / values.sum())
    return Floor(f"PCA, the least that {k} components leave", left) if left > 1e-12 else None


@stage("try strategy")
def try_stage(run: Run, strategy: str, counts: tuple[int, ...], setting: Setting) -> list[Trial]:
    """Select by one strategy at every count and with every seed, then measure all the maps in one pass.

    What a strategy refuses is recorded and stops none of the others.
    """
    config = run.config
    assert isinstance(config, CompareConfig)
    repeats = config.compare.repeats
    chosen: list[tuple[Trial, LandmarkMap | None]] = []
    with run.progress.stage(strategy):  # how many rows it goes through, each strategy says itself
        for at, count in enumerate(counts):
            for repeat in range(repeats):
                left = (len(counts) - at) * repeats - repeat
                seed = (config.landmarks.seed + repeat) % SEEDS
                chosen.append(attempt(run, strategy, count, seed, setting, left))
                if chosen[-1][0].refused:
                    break
        maps = tuple(fitted for _, fitted in chosen if fitted is not None)
        sums: list[ExplainedSums] = []
        if maps:
            items, measured = ranges(len(setting.X), MEASURE_ROWS), ArrayRows(setting.X)
            sums = run.engine.reduce(map_errors_block, add_map_errors, items, measured, maps)
    found = iter(zip(maps, sums, strict=True))
    return [trial if fitted is None else measure(trial, *next(found), setting) for trial, fitted in chosen]


def attempt(
    run: Run, strategy: str, count: int, seed: int, setting: Setting, left: int
) -> tuple[Trial, LandmarkMap | None]:
    """One selection, timed, and the map of its landmarks; `left` selections of this stage, this one included."""
    before = run.progress.done

    def planned(total: int) -> None:
        run.progress.plan_rows(before + total * left)

    known = STRATEGIES[strategy]
    by_kernel = isinstance(setting.block, Kernel) and known.by_kernel
    by_metric = known.by_metric or asks(setting.block)
    try:
        began = time.perf_counter()
        ask = Request(
            run.rows,
            count,
            seed,
            run.engine,
            setting.metric if by_metric else None,
            run.config.source.bad_rows == "mark",
            done=run.progress.rows_done,
            planned=planned,
            kernel=setting.block if by_kernel and isinstance(setting.block, Kernel) else None,
        )
        landmarks = select(strategy, ask)
        seconds = time.perf_counter() - began
        fitted = solve(run, landmarks, setting)
    except BadRowsError as error:  # a fault of the source, not of the strategy
        refuse_bad_rows(run, None, error)
        raise
    except InputError as error:
        return Trial(strategy, count, seed, refused=str(error)), None
    counted = landmarks.evaluations
    return Trial(strategy, count, seed, seconds=seconds, evaluations=counted, note=landmarks.note), fitted


def solve(run: Run, landmarks: Landmarks, setting: Setting) -> LandmarkMap:
    """The map whose residuals are the error: all Nystrom features, or Landmark MDS."""
    Z, dtype = landmarks.points, compute_dtype(run.rows.dtype)
    if isinstance(setting.block, Kernel):
        solution = solve_features(Z, setting.block, dtype)
        if solution.negative_mass > NEGATIVE_MASS:  # then features may explain more of a row than there is of it
            raise InputError(
                f"kernel {setting.block.name} is not positive semidefinite on these landmarks "
                f"({solution.negative_mass:.1%} of its spectrum is negative): it has no trace error to compare by"
            )
        return solution.map
    method = run.config.method
    assert isinstance(method, LandmarkMDSConfig)
    return LandmarkMDSMethod(method.n_components, setting.block.name, setting.block.params).start(Z, dtype).map


def measure(trial: Trial, fitted: LandmarkMap, sums: ExplainedSums, setting: Setting) -> Trial:
    """The trial with its error."""
    changes: dict[str, Any]
    if isinstance(setting.block, Kernel):
        changes = {"error": trace_error(sums).value}
    else:
        few = generator(0, Stream.COMPARED_STRESS).permutation(setting.X)[:STRESS_ROWS]
        placed = fitted(np.asarray(few, np.float64))
        has = np.isfinite(placed).all(axis=1)
        share = sums.residual / max(sums.rows, 1) / setting.variance
        changes = {"error": share, "stress": stress(few[has], placed[has], setting.block, len(setting.X)).value}
    if sums.rows == 0 or not np.isfinite(changes["error"]):
        why = f"none of the {len(setting.X):,} measured rows has coordinates or a positive k(x, x) under its map"
        return Trial(trial.strategy, trial.count, trial.seed, note=trial.note, refused=why)
    return Trial(**{**trial.__dict__, **changes})

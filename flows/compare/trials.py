"""The stages of the compare flow: check, settle what stays the same, try each strategy, tell."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from flows.base.stage import stage
from flows.embed.inputs import address, check_apart, check_counts, check_writable, open_source
from flows.embed.plan import check_local, landmark_count, make_plan
from flows.embed.run import Run
from flows.embed.tasks import asks, refuse_bad_rows
from landmark_ops.configs.embed import CompareConfig
from landmark_ops.errors import BadRowsError, InputError
from landmark_ops.maps.evaluation import compute_dtype
from landmark_ops.maps.landmark_map import LandmarkMap
from landmark_ops.maps.trace_error import ExplainedSums
from landmark_ops.numerics.distances import Array
from landmark_ops.numerics.kernel import Kernel
from landmark_ops.numerics.random_streams import SEEDS, Stream, generator
from landmark_ops.passes.lookup import gather
from landmark_ops.passes.map_errors import add_map_errors, map_errors_block
from landmark_ops.passes.ranges import ranges, task_rows
from landmark_ops.passes.undefined_rows import refuse_outside
from landmark_ops.report.compare.content import Trial
from landmark_ops.selection.probe import probe_rows
from landmark_ops.selection.request import Request
from landmark_ops.selection.selection import select
from landmark_ops.selection.strategy import STRATEGIES, strategies
from landmark_ops.selection.usable_rows import good
from landmark_ops.solver.geometry import named_block
from landmark_ops.solver.unexplained import Unexplained
from landmark_ops.stores.sources.rows import ArrayRows, Rows

MEASURE_BYTES = 256 << 20  # of measured rows held by the flow and each worker: caps compare.rows for very wide rows
MEASURE_ROWS = 4096  # measured rows per task
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

    `left`: what is measured of each choice of landmarks. `X`: (r, d) the rows it is measured on.
    """

    left: Unexplained
    X: Array


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
    block = named_block(method.make())
    if not method.compared:
        raise InputError(
            f"method {method.name}: compare measures what landmarks leave of a kernel or, with landmark_mds, of "
            "distances: set method.name: landmark_mds with the same metric, or a kernel method"
        )
    if block is not None and block.name == "precomputed":
        raise InputError(
            f"method {method.name} on precomputed blocks: their columns belong to landmarks chosen already, there is "
            "nothing to compare: give the rows themselves and a named metric or kernel"
        )


def default_strategies(config: CompareConfig) -> tuple[str, ...]:
    """All that work for the method: without a kernel, those that choose by one do not."""
    kernel = config.method.make().choice is not None
    return tuple(one.name for one in strategies() if not one.takes_own and (kernel or not one.needs_kernel))


def default_counts(config: CompareConfig, n: int) -> tuple[int, ...]:
    """A series up to landmarks.count (1,000, or every row, where left out), each half the next."""
    top = landmark_count(config, n)
    least = config.method.fewest_compared
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
            refuse_outside(run.rows, named_block(method.make()), run.engine, items)
        try:
            probe = probe_rows(run.rows, config.landmarks.seed, run.engine, skip_bad_rows=skip)
        except BadRowsError as error:
            refuse_bad_rows(run, None, error)
            raise
        X = measured_rows(run, config)
        return Setting(method.unexplained(probe, X), X)


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
                remaining = (len(counts) - at) * repeats - repeat
                seed = (config.landmarks.seed + repeat) % SEEDS
                chosen.append(attempt(run, strategy, count, seed, setting, remaining))
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
    run: Run, strategy: str, count: int, seed: int, setting: Setting, remaining: int
) -> tuple[Trial, LandmarkMap | None]:
    """One selection, timed, and the map of its landmarks; `remaining` selections of this stage, this one included."""
    before = run.progress.done

    def planned(total: int) -> None:
        run.progress.plan_rows(before + total * remaining)

    known, left = STRATEGIES[strategy], setting.left
    by_kernel = isinstance(left.block, Kernel) and known.by_kernel
    by_metric = known.by_metric or asks(left.block)
    try:
        began = time.perf_counter()
        ask = Request(
            run.rows,
            count,
            seed,
            run.engine,
            left.metric if by_metric else None,
            run.config.source.bad_rows == "mark",
            done=run.progress.rows_done,
            planned=planned,
            kernel=left.block if by_kernel and isinstance(left.block, Kernel) else None,
        )
        landmarks = select(strategy, ask)
        seconds = time.perf_counter() - began
        fitted = left.place(landmarks.points, compute_dtype(run.rows.dtype))
    except BadRowsError as error:  # a fault of the source, not of the strategy
        refuse_bad_rows(run, None, error)
        raise
    except InputError as error:
        return Trial(strategy, count, seed, refused=str(error)), None
    counted = landmarks.evaluations
    return Trial(strategy, count, seed, seconds=seconds, evaluations=counted, note=landmarks.note), fitted


def measure(trial: Trial, fitted: LandmarkMap, sums: ExplainedSums, setting: Setting) -> Trial:
    """The trial with its error."""
    errors = setting.left.errors(fitted, sums)
    if sums.rows == 0 or not np.isfinite(errors.share):
        why = f"none of the {len(setting.X):,} measured rows has coordinates or a positive k(x, x) under its map"
        return Trial(trial.strategy, trial.count, trial.seed, note=trial.note, refused=why)
    return replace(trial, error=errors.share, stress=errors.stress)

"""Strategies tried: each selects at every count and with every seed, then all its maps are measured in one pass."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np

from flows.base.stage import stage
from flows.compare.comparison import Comparison
from flows.compare.setting import Setting
from flows.embed.bad_rows import refuse_bad_rows
from flows.embed.run import Run
from flows.embed.selection import asks
from landmark_ops.errors import BadRowsError, InputError
from landmark_ops.maps.evaluation import compute_dtype
from landmark_ops.maps.landmark_map import LandmarkMap
from landmark_ops.maps.trace_error import ExplainedSums
from landmark_ops.numerics.kernel import Kernel
from landmark_ops.numerics.random_streams import SEEDS
from landmark_ops.passes.map_errors import add_map_errors, map_errors_block
from landmark_ops.passes.ranges import ranges
from landmark_ops.report.compare.content import Trial
from landmark_ops.selection.request import Request
from landmark_ops.selection.selection import select
from landmark_ops.selection.strategy import STRATEGIES
from landmark_ops.stores.sources.rows import ArrayRows

MEASURE_ROWS = 4096  # measured rows per task


@stage("try strategy")
def try_stage(run: Run, comparison: Comparison, setting: Setting, strategy: str) -> list[Trial]:
    """Select by one strategy at every count and with every seed, then measure all the maps in one pass.

    What a strategy refuses is recorded and stops none of the others.
    """
    config, counts = comparison.config, comparison.counts
    repeats = config.compare.repeats
    chosen: list[tuple[Trial, LandmarkMap | None]] = []
    with run.progress.stage(strategy):  # each strategy reports how many rows it reads
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
    kernel = left.block if known.by_kernel and isinstance(left.block, Kernel) else None
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
            kernel=kernel,
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

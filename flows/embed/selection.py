"""The select stage: landmarks for all methods of a run."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from flows.base.stage import stage
from flows.embed.bad_rows import refuse_bad_rows
from flows.embed.earlier import grow
from flows.embed.inputs import OpenedRun
from flows.embed.plan import Plan
from flows.embed.run import Run
from flows.embed.solved_method import ChosenLandmarks
from landmark_ops.errors import InputError
from landmark_ops.numerics.blocks import domain
from landmark_ops.numerics.distances import Array
from landmark_ops.numerics.kernel import Kernel
from landmark_ops.numerics.metric import Metric
from landmark_ops.passes.ranges import ranges
from landmark_ops.passes.undefined_rows import refuse_outside
from landmark_ops.selection.probe import probe_rows
from landmark_ops.selection.request import Request
from landmark_ops.selection.selection import select
from landmark_ops.selection.strategy import STRATEGIES
from landmark_ops.solver.geometry import named_block, selection_geometry


@stage("select")
def select_stage(run: Run, opened: OpenedRun, plan: Plan) -> ChosenLandmarks:
    """Choose the landmarks, in the geometry of the first method that has the kind the strategy asks for."""
    config = run.config.landmarks
    methods = [method.make() for method in run.config.all_methods]
    skip = run.config.source.bad_rows == "mark"
    asking = next((block for block in map(named_block, methods) if asks(block)), None)

    def probe() -> Array:
        return probe_rows(run.rows, config.seed, run.engine, skip_bad_rows=skip, rule=asking)

    with run.progress.stage("select", run.rows.n):
        if not skip:
            for method in methods:
                refuse_outside(run.rows, named_block(method), run.engine, ranges(run.rows.n, plan.step))
        try:
            by_kernel = STRATEGIES[config.strategy].by_kernel
            first = next((method for method in methods if by_kernel and method.choice is not None), methods[0])
            metric, kernel = selection_geometry(config.strategy, first, probe)
            ask = Request(
                run.rows,
                plan.n_landmarks,
                config.seed,
                run.engine,
                metric or asking,
                skip,
                *own_landmarks(opened.given),
                done=run.progress.rows_done,
                planned=run.progress.plan_rows,
                kernel=kernel,
                tolerance=config.tolerance,
            )
            earlier = opened.earlier
            landmarks = select(config.strategy, ask) if earlier is None else grow(earlier, config.strategy, ask)
        except InputError as error:
            if not skip:
                refuse_bad_rows(run, plan, error)  # says how many of all rows are bad, not only of those drawn
            raise
    return ChosenLandmarks(landmarks, kernel)


def own_landmarks(given: NDArray[Any] | None) -> tuple[NDArray[Any] | None, NDArray[Any] | None]:
    """The user's own landmarks as indices (m,), or as points (m, d); neither where there are none."""
    return (given, None) if given is None or given.ndim == 1 else (None, given)


def asks(block: Metric | Kernel | None) -> bool:
    """Whether a metric or kernel asks more of rows than finite numbers: a direction, or values of its domain."""
    return block is not None and (block.transform not in (None, "none") or domain(block) is not None)

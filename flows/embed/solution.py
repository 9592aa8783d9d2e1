"""The solve stage: all methods of a run side by side, with the passes over the rows that they ask for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from flows.base.stage import stage
from flows.embed.earlier import Earlier
from flows.embed.plan import Plan
from flows.embed.run import MethodOutput, Run
from flows.embed.scratch import scratch_address
from flows.embed.solved_method import ChosenLandmarks
from landmark_ops.errors import Edge, in_words_of
from landmark_ops.maps.evaluation import compute_dtype
from landmark_ops.passes.ranges import ranges
from landmark_ops.row_range import Done
from landmark_ops.solver.alignment import align_solution
from landmark_ops.solver.asks import Source, Watch, solve_all
from landmark_ops.solver.geometry import with_bandwidth
from landmark_ops.solver.method import Method, Solution
from landmark_ops.solver.stored_range import storable


@stage("solve")
def solve_stage(
    run: Run, outputs: list[MethodOutput], chosen: ChosenLandmarks, earlier: Earlier | None, plan: Plan
) -> list[Solution]:
    """Solve all methods side by side: they share every pass over the rows, and blocks they have in common.

    Where landmarks were added to an earlier embedding, coordinates are turned onto its own.
    """
    strict = run.config.source.bad_rows == "error"
    source = Source(
        run.rows,
        run.engine,
        ranges(run.rows.n, plan.step),
        run.config.landmarks.seed,
        run.targets,
        None if strict else lambda count: None,
        watch_progress(run),
        scratch_address(outputs[0]),
        chosen.landmarks.indices,
        not strict,
    )
    points, dtype = chosen.landmarks.points, compute_dtype(run.rows.dtype)
    methods = [solver(output, chosen) for output in outputs]
    with run.progress.between("solve"):
        solutions = solve_all([method.solve(points, dtype) for method in methods], source)
        aligned = [one if earlier is None else align_solution(one, earlier.map) for one in solutions]
        return [in_keys(storable(one)) for one in aligned]


def solver(output: MethodOutput, chosen: ChosenLandmarks) -> Method:
    """The method of an output; the bandwidth its landmarks were chosen by is its own."""
    return with_bandwidth(output.config.method.make(output.config.landmarks.seed), chosen.kernel)


def in_keys(solution: Solution) -> Solution:
    """The solution with its warnings naming the keys of a config."""
    return solution._replace(warnings=tuple(in_words_of(warning, Edge.CONFIG) for warning in solution.warnings))


def watch_progress(run: Run) -> Watch:
    """Passes of a solve as stages of the run."""

    @contextmanager
    def watch(stage: str, total: int) -> Iterator[Done | None]:
        with run.progress.stage(stage, total):
            yield run.progress.rows_done

    return watch

"""The embed flow: from a chunked source to a complete embedding and its report, by one method or several.

open, plan, select, solve, commit map, [verify], extend, then for each method: quality, report, complete
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from flows.base.pipeline import pipeline
from flows.base.progress import Progress
from flows.base.workers import open_engine
from flows.embed import report as reporting
from flows.embed import report_files
from flows.embed.account import summary
from flows.embed.attributes import attributes, undefined_attributes
from flows.embed.committed_map import commit_map
from flows.embed.completion import complete_stage
from flows.embed.extension import extend_stage
from flows.embed.inputs import OpenedRun, check_unchanged, lock_place, open_run
from flows.embed.plan import Plan, check_local, check_memory
from flows.embed.resume import load_landmarks, load_solved, verify_stage
from flows.embed.run import Run
from flows.embed.sample import sample_indices
from flows.embed.scores import error_stage, score_stage
from flows.embed.scratch import clear_scratch, give_up
from flows.embed.selection import select_stage
from flows.embed.solution import solve_stage
from flows.embed.solved_method import ChosenLandmarks, SolvedMethod
from flows.embed.swaps import finish_swaps, settle
from landmark_ops.configs.embed import EmbedConfig
from landmark_ops.errors import InputError, RunError
from landmark_ops.stores.embeddings.presence import raise_for
from landmark_ops.stores.lock import OutputLock


@pipeline("embed")
def embed(config: EmbedConfig) -> dict[str, Any]:
    """Embed the rows of `config.source` into `config.output`; returns addresses and quality.

    Run again after an interruption it goes on from the chunks already committed; run again after completion it does
    nothing.
    """
    return run_embed(config, open_run(config), Progress())


def run_embed(config: EmbedConfig, opened: OpenedRun, progress: Progress) -> dict[str, Any]:
    """The body of the flow, once its inputs are open."""
    config = opened.config
    lock = lock_place(config, opened)
    if opened.state == "complete":
        finish_swaps(opened, lock)
        for output in opened.outputs:
            raise_for(output.store.uri, output.store.find_missing())
        clear_scratch(opened.outputs)  # left by a run that was killed after its last write
        return summary(config, opened, "already complete")
    plan = opened.plan()
    check_local(plan, opened.rows, config.cluster)
    with OutputLock(lock) as held, open_engine(config.cluster, opened.rows.nbytes) as engine:
        if config.cluster.address and engine.task_memory:
            check_memory(plan, opened.rows, engine.task_memory)
        check_unchanged(opened)
        for output in opened.outputs:
            output.store = output.store.fenced(held.fence)
            settle(output.store.current.fenced(held.fence))
        run = Run(config, opened.rows, opened.fingerprint, opened.targets, engine, progress)
        try:
            run_stages(run, opened, plan)
        except InputError:
            with suppress(OSError, RunError):  # the refusal is the error to report
                give_up(opened.outputs)
            raise
        clear_scratch(opened.outputs)
    return summary(config, opened, "resumed" if opened.state == "resume" else "done")


def run_stages(run: Run, opened: OpenedRun, plan: Plan) -> None:
    """The stages, in order."""
    methods = prepare(run, opened, plan)
    samples = extend_stage(run, methods, sample_indices(run.config, opened))
    for solved, sample, errors in zip(methods, samples, error_stage(run, methods), strict=True):
        quality, cover = reporting.quality_stage(run, solved, sample)
        result = score_stage(run, solved, errors)
        reporting.report_stage(run, solved, sample, quality, cover, result)
        measured = {} if solved.output.config.method.supervised else reporting.quality_attributes(quality)
        attributes = {**measured, **result.attributes()}
        complete_stage(run, solved, attributes, int(solved.records.bad_rows.sum()), undefined_attributes(result))
        report_files.settle(solved.output.store)


def prepare(run: Run, opened: OpenedRun, plan: Plan) -> list[SolvedMethod]:
    """Everything before rows are placed: solved or taken from a stored map, and committed, or as it was interrupted."""
    methods: dict[str, SolvedMethod] = {}
    for output in opened.outputs:
        if output.state == "resume":
            if not output.store.staged:  # metadata of single arrays may have been lost meanwhile
                output.store.restore_metadata()
            methods[output.name] = load_solved(output, opened.rows)
            verify_stage(run, methods[output.name].records)
    new = [output for output in opened.outputs if output.state == "new"]
    for output in new:
        if not output.store.staged:  # so that the place is taken, and shown to be writable, before hours of work
            output.store.create(attributes(output, opened))
    if new:
        if opened.stored is not None:
            chosen, solutions = ChosenLandmarks(opened.stored.landmarks, None), [opened.stored.solution]
        else:
            chosen = select_stage(run, opened, plan) if not methods else load_landmarks(next(iter(methods.values())))
            solutions = solve_stage(run, new, chosen, opened.earlier, plan)
        for output, solution in zip(new, solutions, strict=True):
            if output.store.staged:  # a solved run may replace another's successor
                output.store.create(attributes(output, opened))
            methods[output.name] = commit_map(run, output, chosen, solution, plan)
    return [methods[output.name] for output in opened.outputs if output.name in methods]

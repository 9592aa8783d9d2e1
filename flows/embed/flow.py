"""The embed flow: from a chunked source to a complete embedding and its report, by one method or several.

open, plan, select, solve, commit map, [verify], extend, then for each method: quality, report, complete
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import numpy as np

from flows.base.pipeline import pipeline
from flows.base.progress import Progress
from flows.base.workers import open_engine
from flows.embed import report as reporting
from flows.embed import report_files, tasks
from flows.embed.inputs import Opened, check_unchanged, hash_given, lock_place, open_run
from flows.embed.plan import Plan, check_local, check_memory, make_plan
from flows.embed.resume import load_landmarks, load_work
from flows.embed.run import Part, Run
from flows.embed.scores import Outcome, error_stage, score_stage
from flows.embed.tasks import Work
from landmark_ops import __version__
from landmark_ops.configs.embed import EmbedConfig
from landmark_ops.errors import InputError, RunError
from landmark_ops.numerics.random_streams import Stream, generator
from landmark_ops.stores.embeddings.presence import raise_for
from landmark_ops.stores.embeddings.store import EmbeddingStore
from landmark_ops.stores.lock import OutputLock

SAMPLE_BYTES = 256 << 20  # of sampled rows held by the flow and each worker: caps report.sample for very wide rows


@pipeline("embed")
def embed(config: EmbedConfig) -> dict[str, Any]:
    """Embed the rows of `config.source` into `config.output`; returns addresses and quality.

    Run again after an interruption it goes on from the chunks already committed; run again after completion it does
    nothing.
    """
    return run_embed(config, open_run(config), Progress())


def run_embed(config: EmbedConfig, opened: Opened, progress: Progress) -> dict[str, Any]:
    """The body of the flow, once its inputs are open."""
    lock = lock_place(config, opened)
    if opened.state == "complete":
        finish_swaps(opened, lock)
        for part in opened.parts:
            raise_for(part.store.uri, part.store.find_missing())
        tasks.clear_scratch(opened.parts)  # of a run that was killed after its last write
        return summary(config, opened, "already complete")
    plan = make_plan(config, opened.rows, None if opened.given is None else len(opened.given))
    check_local(plan, opened.rows, config.cluster)
    with OutputLock(lock) as held, open_engine(config.cluster, opened.rows.nbytes) as engine:
        if config.cluster.address and engine.task_memory:
            check_memory(plan, opened.rows, engine.task_memory)
        check_unchanged(opened)
        for part in opened.parts:
            part.store = part.store.fenced(held.fence)
            settle(part.store.current.fenced(held.fence))
        run = Run(config, opened.rows, opened.fingerprint, opened.targets, engine, progress)
        try:
            run_stages(run, opened, plan)
        except InputError:
            with suppress(OSError, RunError):  # the refusal is what there is to tell
                tasks.give_up(opened.parts)
            raise
        tasks.clear_scratch(opened.parts)
    return summary(config, opened, "resumed" if opened.state == "resume" else "done")


def finish_swaps(opened: Opened, lock: str) -> None:
    """Tidy up after a run that was killed between its last write and its end."""
    stores = [part.store for part in opened.parts]
    if any(store.successor.is_there() or report_files.is_waiting(store.uri) for store in stores):
        with OutputLock(lock) as held:
            for store in stores:
                settle(store.fenced(held.fence))


def settle(store: EmbeddingStore) -> None:
    """Finish what a run that was killed right after its swap left to be done: metadata of arrays, and the report."""
    store.settle()
    report_files.settle(store)


def run_stages(run: Run, opened: Opened, plan: Plan) -> None:
    """The stages, in order."""
    works = prepare(run, opened, plan)
    samples = tasks.extend_stage(run, works, sample_indices(run.config, opened))
    for work, sample, errors in zip(works, samples, error_stage(run, works), strict=True):
        quality, cover = reporting.quality_stage(run, work, sample)
        outcome = score_stage(run, work, errors)
        reporting.report_stage(run, work, sample, quality, cover, outcome)
        measured = {} if work.part.config.method.supervised else reporting.quality_attributes(quality)
        attributes = {**measured, **outcome.attributes()}
        tasks.complete_stage(run, work, attributes, int(work.records.bad_rows.sum()), undefined_attributes(outcome))
        report_files.settle(work.part.store)


def undefined_attributes(outcome: Outcome) -> dict[str, Any]:
    """Why rows have no coordinates, as the output's attributes hold it."""
    return {cause.name.lower(): found._asdict() for cause, found in outcome.undefined.items()}


def prepare(run: Run, opened: Opened, plan: Plan) -> list[Work]:
    """Everything before rows are placed: solved anew and committed, or taken from the interrupted run."""
    works: dict[str, Work] = {}
    for part in opened.parts:
        if part.state == "resume":
            if not part.store.staged:  # what readers without consolidated metadata need may have gone meanwhile
                part.store.restore_metadata()
            works[part.name] = load_work(part, opened.rows)
            tasks.verify_stage(run, works[part.name].records)
    new = [part for part in opened.parts if part.state == "new"]
    for part in new:
        if not part.store.staged:  # so that the place is taken, and shown to be writable, before hours of work
            part.store.create(attributes(part, opened))
    if new:
        chosen = tasks.select_stage(run, opened, plan) if not works else load_landmarks(next(iter(works.values())))
        for part, solution in zip(new, tasks.solve_stage(run, new, chosen, opened.earlier, plan), strict=True):
            if part.store.staged:  # from here on there is something to go on from: not before is another one given up
                part.store.create(attributes(part, opened))
            works[part.name] = tasks.commit_map(run, part, chosen, solution, plan)
    return [works[part.name] for part in opened.parts if part.name in works]


def attributes(part: Part, opened: Opened) -> dict[str, Any]:
    """What an output says of its making, before there is a result."""
    rows, config = opened.rows, part.config
    return {
        "version": __version__,
        "method": config.method.name,
        "parameters": config.method.model_dump(mode="json", exclude={"name"}),
        "source": {
            "uri": config.source.uri,
            "fingerprint": opened.fingerprint,
            "shape": [rows.n, *rows.row_shape],
            "dtype": rows.dtype.name,
        },
        "seed": config.landmarks.seed,
        "config": config.model_dump(mode="json", exclude={"cluster", "methods", "compare"}),
        "result_hash": config.result_hash(),
        "given_sha256": hash_given(opened.given, opened.earlier),
        **({"target": opened.targets.rows.uri} if opened.targets and config.method.supervised else {}),
    }


def sample_indices(config: EmbedConfig, opened: Opened) -> Any:
    """Sorted row numbers of the sample for quality and coverage, drawn uniformly by the seed."""
    rows = opened.rows
    count = min(config.report.sample, rows.n, max(100, SAMPLE_BYTES // (rows.d * 8)))
    drawn = generator(config.landmarks.seed, Stream.QUALITY_SAMPLE).choice(rows.n, count, replace=False, shuffle=False)
    return np.sort(drawn)


def summary(config: EmbedConfig, opened: Opened, outcome: str) -> dict[str, Any]:
    """What the caller, and Prefect, keep of the run; with several methods, `methods` has one such account of each."""
    accounts = {part.name: account(part, opened.rows.n) for part in opened.parts}
    if not config.methods:
        return {"outcome": outcome, **next(iter(accounts.values()))}
    return {"outcome": outcome, "rows": opened.rows.n, "embedding": config.output.uri, "methods": accounts}


def account(part: Part, n: int) -> dict[str, Any]:
    """Where one method's output is, and how good."""
    store = part.store.current
    recorded = store.read_attributes()
    return {
        "embedding": store.uri,
        "report": f"{report_files.report_address(store.uri)}/index.html",
        "rows": n,
        "components": int(store.shape[1]),
        "bad_rows": recorded.get("bad_rows", 0),
        "quality": recorded.get("quality", {}),
    }

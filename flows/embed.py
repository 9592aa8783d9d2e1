"""The embed flow: from a chunked source to a complete embedding and its report.

open, plan, select, start, [moments, finish], commit map, [verify], extend, quality, report, complete
"""

from __future__ import annotations

from typing import Any

import numpy as np
from prefect import flow

from flows import reporting, tasks
from flows.opening import Opened, check_unchanged, hash_given, open_run
from flows.plan import Plan, check_memory, make_plan
from flows.progress import Progress
from flows.resume import load_landmarks, load_solution
from flows.run import Run, progress_of_caller, set_run
from flows.runtime import open_engine, worker_memory
from landmark_ops import __version__
from landmark_ops.config import EmbedConfig
from landmark_ops.errors import InputError
from landmark_ops.methods.method import Solution
from landmark_ops.selection.landmarks import Landmarks
from landmark_ops.stores.lock import OutputLock
from landmark_ops.stores.records import ChunkRecords

SAMPLE_BYTES = 256 << 20  # of sampled rows held by the flow and each worker: caps report.sample for very wide rows


@flow(name="embed", log_prints=False, persist_result=False)
def embed(config: EmbedConfig) -> dict[str, Any]:
    """Embed the rows of `config.source` into `config.output`; returns addresses and quality.

    Run again after an interruption it goes on from the chunks already committed; run again after completion it does
    nothing.
    """
    progress = progress_of_caller.get() or Progress()
    opened = open_run(config)
    if opened.state == "complete":
        return summary(opened, "already complete")
    plan = make_plan(config, opened.rows, None if opened.given is None else len(opened.given))
    if config.cluster.address is None:
        check_memory(plan, opened.rows, worker_memory(config.cluster))
    with OutputLock(opened.store.uri), open_engine(config.cluster, opened.rows.nbytes) as engine:
        if config.cluster.address and engine.task_memory:
            check_memory(plan, opened.rows, engine.task_memory)
        check_unchanged(config, opened)
        set_run(Run(config, opened.rows, opened.fingerprint, opened.store, engine, progress))
        try:
            run_stages(config, opened, plan)
        except InputError:
            if opened.state == "new":  # refused, not interrupted: what it began must not stand in the way of the remedy
                opened.store.discard()
            raise
    return summary(opened, "resumed" if opened.state == "resume" else "done")


def run_stages(config: EmbedConfig, opened: Opened, plan: Plan) -> None:
    """The stages, in order."""
    landmarks, solution, records = prepare(config, opened, plan)
    sha256 = str(opened.store.read_attributes()["map_sha256"])
    sample = tasks.extend_stage(sha256, records, sample_indices(config, opened))
    quality, cover = reporting.quality_stage(solution, sample)
    reporting.report_stage(landmarks, solution, records, sample, quality, cover)
    tasks.complete_stage(reporting.quality_attributes(quality), int(records.bad_rows.sum()))


def prepare(config: EmbedConfig, opened: Opened, plan: Plan) -> tuple[Landmarks, Solution, ChunkRecords]:
    """Everything before rows are placed: solved anew and committed, or taken from the interrupted run."""
    store = opened.store
    if opened.state == "resume":
        landmarks, solution, step = load_landmarks(store), load_solution(store), store.read_attributes()["chunk_rows"]
        records = ChunkRecords.load(store, opened.rows.n, solution.map.n_components, step)
        tasks.verify_stage(records)
        return landmarks, solution, records
    store.create(attributes(config, opened))
    landmarks = tasks.select_stage(opened.given, plan)
    solution = tasks.start_stage(landmarks)
    if needs_moments(config):
        solution = tasks.finish_stage(solution, tasks.moments_stage(solution.map, plan))
    tasks.commit_map(landmarks, solution, plan)
    return landmarks, solution, ChunkRecords(store, opened.rows.n, solution.map.n_components, plan.step)


def needs_moments(config: EmbedConfig) -> bool:
    """Whether the method sums over all rows before it is solved."""
    from flows.methods import make_method

    return make_method(config.method).needs_moments


def attributes(config: EmbedConfig, opened: Opened) -> dict[str, Any]:
    """What the output says of its making, before there is a result."""
    rows = opened.rows
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
        "config": config.model_dump(mode="json", exclude={"cluster"}),
        "result_hash": config.result_hash(),
        "given_sha256": hash_given(opened.given),
    }


def sample_indices(config: EmbedConfig, opened: Opened) -> Any:
    """Sorted row numbers of the sample for quality and coverage, drawn uniformly by the seed."""
    rows = opened.rows
    count = min(config.report.sample, rows.n, max(100, SAMPLE_BYTES // (rows.d * 8)))
    drawn = np.random.default_rng([config.landmarks.seed, 1]).choice(rows.n, count, replace=False, shuffle=False)
    return np.sort(drawn)


def summary(opened: Opened, outcome: str) -> dict[str, Any]:
    """What the caller, and Prefect, keep of the run."""
    recorded = opened.store.read_attributes()
    return {
        "outcome": outcome,
        "embedding": opened.store.uri,
        "report": f"{reporting.report_address(opened.store.uri)}/index.html",
        "rows": opened.rows.n,
        "components": int(opened.store.shape[1]),
        "bad_rows": recorded.get("bad_rows", 0),
        "quality": recorded.get("quality", {}),
    }

"""A whole embedding by the flow's own stages, called as plain functions: no Prefect run, no report.

Only the bodies of the stages run (`.fn`), so what Prefect adds to each is not in these seconds.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmarks.timing import seconds_of
from flows import embed as flow
from flows import tasks
from flows.opening import Opened, open_run
from flows.plan import Plan, make_plan
from flows.progress import Progress
from flows.run import Run, set_run
from landmark_ops.blocks.cluster import ClusterEngine
from landmark_ops.blocks.extension import extend_block
from landmark_ops.blocks.ranges import ranges
from landmark_ops.config import EmbedConfig, OutputConfig, SourceConfig
from landmark_ops.stores.records import ChunkRecords


class Prepared(NamedTuple):
    """A run up to where rows are placed: the map is committed, the arrays allocated, nothing written into them."""

    opened: Opened
    plan: Plan
    sha256: str
    records: ChunkRecords


class Embedded(NamedTuple):
    """Wall seconds of a whole embedding, of its stages by name, and what was planned."""

    seconds: float
    stages: dict[str, float]
    plan: Plan


def configure(source: SourceConfig, output: Path, method: dict[str, object], n_landmarks: int) -> EmbedConfig:
    """A config as a user would write it, everything else left at its default."""
    output_config = OutputConfig(uri=str(output), overwrite=True)
    return EmbedConfig.model_validate(
        {"source": source, "output": output_config, "landmarks": {"count": n_landmarks}, "method": method}
    )


def prepare(config: EmbedConfig, engine: ClusterEngine, progress: Progress) -> Prepared:
    """Open, select, start, [moments, finish], commit map."""
    opened = open_run(config)
    plan = make_plan(config, opened.rows)
    set_run(Run(config, opened.rows, opened.fingerprint, opened.store, engine, progress))
    opened.store.create(flow.attributes(config, opened))
    landmarks = tasks.select_stage.fn(None, plan)
    solution = tasks.start_stage.fn(landmarks)
    if flow.needs_moments(config):
        solution = tasks.finish_stage.fn(solution, tasks.moments_stage.fn(solution.map, plan))
    with progress.stage("commit map"):
        sha256 = tasks.commit_map.fn(landmarks, solution, plan)
    return Prepared(opened, plan, sha256, ChunkRecords(opened.store, plan.n, solution.map.n_components, plan.step))


def extension_seconds(config: EmbedConfig, engine: ClusterEngine) -> float:
    """Wall seconds of the extension pass alone, into a new output: read, place, write and hash every range of rows."""
    opened, plan, sha256, _ = prepare(config, engine, Progress())
    items, none = ranges(plan.n, plan.step), np.empty(0, np.int64)
    seconds = seconds_of(
        lambda: list(engine.imap(extend_block, items, opened.rows, opened.store.uri, sha256, none)),
    )
    shutil.rmtree(config.output.uri)
    return seconds


def embed(config: EmbedConfig, engine: ClusterEngine) -> Embedded:
    """Everything from opening the source to `status: complete`; then delete the output, off the clock.

    The extend stage also keeps the chunk records and collects the 20,000 sampled rows of the report. Measuring quality
    on them and drawing the report, which cost the same for any n, are left out.
    """
    progress = Progress()
    plans: list[Plan] = []

    def whole() -> None:
        prepared = prepare(config, engine, progress)
        plans.append(prepared.plan)
        indices = flow.sample_indices(config, prepared.opened)
        sample = tasks.extend_stage.fn(prepared.sha256, prepared.records, indices)
        if not np.isfinite(sample.embedding).all():
            raise AssertionError("rows without coordinates: what was measured is not an embedding")
        tasks.complete_stage.fn({}, 0)

    seconds = seconds_of(whole)
    shutil.rmtree(config.output.uri)
    return Embedded(seconds, {stage.name: stage.seconds for stage in progress.stages}, plans[0])

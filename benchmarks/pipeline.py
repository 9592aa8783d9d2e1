"""A whole embedding by the flow's own stages, called as plain functions: no Prefect run, no report.

Only the bodies of the stages run (`.fn`), so what Prefect adds to each is not in these seconds.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmarks.timing import seconds_of
from flows.base.progress import Progress
from flows.embed.attributes import attributes
from flows.embed.committed_map import commit_map
from flows.embed.completion import complete_stage
from flows.embed.extension import extend_stage
from flows.embed.inputs import OpenedRun, open_run
from flows.embed.plan import Plan, make_plan
from flows.embed.run import Run
from flows.embed.sample import sample_indices
from flows.embed.scratch import clear_scratch
from flows.embed.selection import select_stage
from flows.embed.solution import solve_stage
from flows.embed.solved_method import SolvedMethod
from landmark_ops.configs.embed import EmbedConfig, OutputConfig, SourceConfig
from landmark_ops.engine.cluster import ClusterEngine
from landmark_ops.passes.extension import extend_block
from landmark_ops.passes.ranges import ranges


class Prepared(NamedTuple):
    """A run up to where rows are placed: the map is committed, the arrays allocated, nothing written into them."""

    opened: OpenedRun
    plan: Plan
    run: Run
    solved: SolvedMethod


class Embedded(NamedTuple):
    """Wall seconds of a whole embedding, of its stages by name, what was planned, and what the method found."""

    seconds: float
    stages: dict[str, float]
    plan: Plan
    facts: Mapping[str, float | str]


def configure(source: SourceConfig, output: Path, method: dict[str, object], n_landmarks: int) -> EmbedConfig:
    """A config as a user would write it, everything else left at its default."""
    output_config = OutputConfig(uri=str(output), overwrite=True)
    return EmbedConfig.model_validate(
        {"source": source, "output": output_config, "landmarks": {"count": n_landmarks}, "method": method}
    )


def prepare(config: EmbedConfig, engine: ClusterEngine, progress: Progress) -> Prepared:
    """Open, select, solve with its passes over the rows, commit map."""
    opened = open_run(config)
    [output] = opened.outputs
    plan = make_plan(config, opened.rows)
    run = Run(config, opened.rows, opened.fingerprint, opened.targets, engine, progress)
    output.store.create(attributes(output, opened))
    chosen = select_stage.fn(run, opened, plan)
    [solution] = solve_stage.fn(run, [output], chosen, opened.earlier, plan)
    with progress.stage("commit map"):
        solved = commit_map.fn(run, output, chosen, solution, plan)
    return Prepared(opened, plan, run, solved)


def extension_seconds(config: EmbedConfig, engine: ClusterEngine) -> float:
    """Wall seconds of the extension pass alone, into a new output: read, place, write and hash every range of rows."""
    opened, plan, _, solved = prepare(config, engine, Progress())
    items, none = ranges(plan.n, plan.step), np.empty(0, np.int64)
    seconds = seconds_of(lambda: list(engine.imap(extend_block, items, opened.rows, (solved.destination,), none)))
    shutil.rmtree(config.output.uri)
    return seconds


def embed(config: EmbedConfig, engine: ClusterEngine, keep: bool = False) -> Embedded:
    """Everything from opening the source to `status: complete`; then delete the output, off the clock, unless kept.

    The extend stage also keeps the chunk records and collects the 20,000 sampled rows of the report. Measuring quality
    on them and drawing the report, which cost the same for any n, are left out.
    """
    progress = Progress()
    prepared: list[Prepared] = []

    def whole() -> None:
        prepared.append(prepare(config, engine, progress))
        opened, _, run, solved = prepared[0]
        [sample] = extend_stage.fn(run, [solved], sample_indices(config, opened))
        if not np.isfinite(sample.embedding).all():
            raise AssertionError("rows without coordinates: what was measured is not an embedding")
        complete_stage.fn(run, solved, {}, 0, {})
        clear_scratch(opened.outputs)

    seconds = seconds_of(whole)
    if not keep:
        shutil.rmtree(config.output.uri)
    [(_, plan, _, solved)] = prepared
    return Embedded(seconds, {stage.name: stage.seconds for stage in progress.stages}, plan, solved.solution.facts)

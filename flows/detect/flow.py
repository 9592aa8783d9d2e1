"""The detect flow: from shards of images to keypoint tables, exactly once, and their report.

prepare -> take up -> detect (workers stage rows, this process commits batches of shards) -> report
"""

from __future__ import annotations

import time
from typing import Any

from flows.base.pipeline import pipeline
from flows.base.progress import Progress
from flows.base.stage import stage
from flows.base.workers import open_engine
from flows.detect.backlog import Backlog, take_up
from flows.detect.job import ShardDone
from flows.detect.preparation import Prepared, prepare
from flows.detect.report import publish_detect
from flows.detect.shard_task import detect_shard
from flows.detect.totals import Totals
from landmark_ops.configs.detect import DetectConfig
from landmark_ops.engine.protocol import Engine
from landmark_ops.stores.locations import join, normalise, remove
from landmark_ops.stores.lock import OutputLock
from landmark_ops.stores.tables.staged import PRIVATE
from landmark_ops.stores.tables.tables import TableSet

SHARD_BYTES = 16 << 20  # what a shard counts for when the engine is chosen: from five shards on, processes
ALLOWED_FAILURES = 20  # a killed worker counts as a failure of every shard queued on it
COMMIT_SECONDS = 10.0
COMMIT_SHARDS = 64


@pipeline("detect")
def detect(config: DetectConfig) -> dict[str, Any]:
    """Detect in every shard not yet done and commit its rows exactly once; returns the account.

    Run again it does nothing for shards that are done, takes up new and grown ones, and finishes what a crash left.
    A changed pipeline, model or threshold makes a new generation beside the old one (column config_hash).
    """
    return run_detect(config, prepare(config), Progress())


def run_detect(config: DetectConfig, prepared: Prepared, progress: Progress) -> dict[str, Any]:
    """The body of the flow, once its inputs are open."""
    with OutputLock(join(normalise(config.output.uri), "detect")):
        backlog = take_up(config, prepared)
        totals = Totals()
        if backlog.tasks:
            with open_engine(config.cluster, len(backlog.tasks) * SHARD_BYTES, ALLOWED_FAILURES) as engine:
                totals = detect_stage(backlog, engine, progress, config.report.sample)
        totals.passed += backlog.source.passed
        remove(join(backlog.tables.uri, PRIVATE, "attempts"))  # left where a run was killed after staging
        told = {"vanished": backlog.vanished, "rewritten": totals.rewritten}
        return publish_detect(config, backlog.tables, backlog.job, totals, progress) | told


@stage("detect")
def detect_stage(backlog: Backlog, engine: Engine, progress: Progress, overlays: int) -> Totals:
    """Hand shards to the workers and commit what they staged, many shards per commit."""
    totals = Totals()
    pending: list[ShardDone] = []
    counts = [task.shard.count for task in backlog.tasks]
    images = None if None in counts else sum(count or 0 for count in counts)
    began = committed = time.monotonic()
    with progress.stage("detect", images, "images"):
        try:
            for _, shard in engine.imap(detect_shard, backlog.tasks, backlog.job):
                totals.add(shard, overlays)
                progress.advance(shard.images)
                pending.append(shard)
                if time.monotonic() - committed > COMMIT_SECONDS or len(pending) >= COMMIT_SHARDS:
                    commit(backlog.tables, pending)
                    committed = time.monotonic()
        finally:
            commit(backlog.tables, pending)
    totals.seconds = time.monotonic() - began
    return totals


def commit(tables: TableSet, pending: list[ShardDone]) -> None:
    """Bring staged shards into the tables and empty the list."""
    staged = [shard.staged for shard in pending if shard.staged is not None]
    pending.clear()
    tables.commit(staged)

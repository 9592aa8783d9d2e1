"""One shard, on a worker: read, decode, detect in batches across images, stage the rows. Imports nothing of Prefect."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import lru_cache
from itertools import islice

from flows.detect.attempt import Attempt
from flows.detect.earlier import Earlier, moved_rows
from flows.detect.job import Job, Round, ShardDone, ShardTask
from flows.detect.outcomes import outcomes_of
from flows.detect.tally import Tally
from landmark_ops.images.encode import is_drawn
from landmark_ops.images.threads import use_one_thread
from landmark_ops.keypoints.rows import Provenance, concat, to_tables
from landmark_ops.keypoints.schema import SCHEMAS
from landmark_ops.shards.member import Member, Shard
from landmark_ops.stores.tables.staged import ShardRows
from landmark_ops.stores.tables.tables import TableSet


def detect_shard(task: ShardTask, job: Job) -> ShardDone:
    """Detect in a shard and stage its rows."""
    use_one_thread()
    return _detect(task.shard, task.round, job)


def _detect(shard: Shard, round: Round, job: Job) -> ShardDone:
    tables = _tables(job.output, job.format)
    earlier = Earlier(tables, shard, round, job.config_hash)
    moved = moved_rows(tables, job.config_hash, job.gone, job.run_id) if job.gone else {}
    provenance = Provenance(
        job.pipeline.landmark_set or "", job.model_sha256, job.config_hash, job.run_id, datetime.now(UTC)
    )
    tally = Tally(shard.id, job)
    parts = []
    with Attempt(job, shard) as isolation:
        met = not_drawn(shard.members(earlier.skip, tally.passed), tally.passed)
        for members in batches(earlier.fresh(met, job.boxes is not None, moved), job.batch):
            outcomes = list(outcomes_of(members, job, isolation, tally))
            tally.count(outcomes)
            parts.append(to_tables(outcomes, provenance))
        rows = concat([earlier.carried(), *parts])
        mine = ShardRows(shard.id, shard.version, round.number, job.config_hash, job.run_id, rows, earlier.replaced())
        return tally.done(tables.stage(mine))._replace(rewritten=earlier.rewritten)


def not_drawn(members: Iterator[Member], passed: Counter[str]) -> Iterator[Member]:
    """The members without drawings of our own, which may have been written among the images."""
    for member in members:
        if member.data is not None and is_drawn(member.data):
            passed["drawings of ours"] += 1
        else:
            yield member


def batches(members: Iterator[Member], size: int) -> Iterator[list[Member]]:
    """Members in lists of `size`."""
    while batch := list(islice(members, size)):
        yield batch


@lru_cache(maxsize=4)
def _tables(output: str, format: str) -> TableSet:
    return TableSet(output, SCHEMAS, format)

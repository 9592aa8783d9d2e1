"""The shards of a source that are left to do, by the ledger of the output, after earlier runs were finished."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import NamedTuple

from flows.detect.generation import generation_hash
from flows.detect.job import GoneShard, Job, Round, ShardTask
from flows.detect.own_sets import record_set
from flows.detect.preparation import Prepared, shard_options
from landmark_ops.configs.detect import DetectConfig
from landmark_ops.errors import InputError
from landmark_ops.shards.format import SHARD_FORMATS
from landmark_ops.shards.member import OnRecord
from landmark_ops.shards.repeats import flag_repeated
from landmark_ops.shards.source import Source, compare, open_shards
from landmark_ops.stores.tables.ledger import Record
from landmark_ops.stores.tables.tables import TableSet

CLOCKS_APART = 900.0  # seconds between the clocks of two machines that are reckoned with


class Backlog(NamedTuple):
    """The shards to detect in, each with its round, the job they share, and the tables that their rows go to.

    vanished: how many shards on record have left the source.
    """

    tables: TableSet
    source: Source
    job: Job
    tasks: list[ShardTask]
    vanished: int


def take_up(config: DetectConfig, prepared: Prepared) -> Backlog:
    """Create or check the tables, commit what an earlier run staged, and find what is left to do.

    The output has to be locked. Raises InputError for tables of another schema or of another source.
    """
    tables = prepared.tables
    tables.prepare()
    source = bound_source(config, prepared)
    generation = generation_hash(config, prepared.pipeline, prepared.specs.values(), source.reads)
    tables.agree(f"reads/{generation}", {**source.reads, "options": shard_options(config).said()})
    tables.recover()
    ledger = tables.ledger(generation)
    if any(record.committed > prepared.listed - CLOCKS_APART for record in ledger.values()):
        source = list_again(config, source)
    tasks, gone = left_to_do(source, ledger, by_id=config.source.id_column is not None)
    return Backlog(tables, source, job_of(config, prepared, generation, tasks, gone), tasks, len(gone))


def list_again(config: DetectConfig, source: Source) -> Source:
    """The source as it is now: another run may have committed rows of what came after this run's listing."""
    options = shard_options(config)._replace(buckets=source.buckets)
    return open_shards(config.source.uri, config.source.format, options)


def bound_source(config: DetectConfig, prepared: Prepared) -> Source:
    """The source, which the output is bound to from its first run on, as are the buckets of a folder."""
    tables, source = prepared.tables, prepared.source
    bound = tables.agree("source", {"uri": source.uri})["uri"]
    if bound != source.uri:
        raise InputError(
            f"output {tables.uri}: its rows come from {bound}, this source is {source.uri}, and shards of two sources "
            "may have the same names: choose another output.uri"
        )
    if prepared.pipeline.own_set is not None:
        record_set(tables, prepared.pipeline.own_set)
    if source.buckets is not None:
        agreed = tables.agree("folder", {"buckets": source.buckets})["buckets"]
        if agreed != source.buckets:
            return list_again(config, source._replace(buckets=agreed))
    return source


def job_of(
    config: DetectConfig, prepared: Prepared, generation: str, tasks: list[ShardTask], gone: list[GoneShard]
) -> Job:
    """What the workers of this run share; the sample of the report comes from twice as many pictures as it shows."""
    detector, sample = config.detector, config.report.sample
    return Job(
        pipeline=prepared.pipeline,
        specs=prepared.specs,
        boxes=None if detector.boxes is None else ("relative" if detector.boxes.relative else "pixels"),
        gone=tuple(gone) if config.source.id_column is not None else (),
        thresholds=detector.thresholds,
        batch=detector.batch,
        max_pixels=detector.max_pixels,
        output=prepared.tables.uri,
        format=config.output.format,
        config_hash=generation,
        run_id=uuid.uuid4().hex,
        overlays=max(1, -(-2 * sample // max(1, len(tasks)))) if sample else 0,
    )


def left_to_do(source: Source, ledger: Mapping[str, Record], *, by_id: bool) -> tuple[list[ShardTask], list[GoneShard]]:
    """The shards that are new or have changed, with their rounds, and those on record that have left the source.

    Raises InputError for a Delta table whose rows have moved to other files and have no ids to recognise them by.
    """
    seen = compare(
        source.shards, {shard: OnRecord(record.version, record.committed) for shard, record in ledger.items()}
    )
    if SHARD_FORMATS[source.format].rows_move and seen.gone and seen.new and not by_id:
        raise InputError(
            f"{source.uri}: {len(seen.gone)} files on record have left the table and {len(seen.new)} have come: rows "
            "that were rewritten cannot be told from new ones: set source.id_column, or choose another output.uri"
        )
    shards = flag_repeated([*seen.new, *seen.changed], seen.done) if by_id else [*seen.new, *seen.changed]
    records = {shard.id: ledger[shard.id] for shard in seen.changed}
    rounds = {name: Round(old.rounds + 1, OnRecord(old.version, old.committed)) for name, old in records.items()}
    gone = [GoneShard(name, ledger[name].version, ledger[name].rounds) for name in seen.gone]
    return [ShardTask(shard, rounds.get(shard.id, Round())) for shard in shards], gone

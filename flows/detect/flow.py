"""The detect flow: from shards of images to keypoint tables, exactly once, and their report.

open -> recover -> detect (workers stage rows, this process commits batches of shards) -> report
"""

from __future__ import annotations

import hashlib
import json
import time
import uuid
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from flows.base.pipeline import pipeline
from flows.base.progress import Progress
from flows.base.stage import stage
from flows.base.workers import open_engine
from flows.detect.earlier import Gone, Turn
from flows.detect.overlays import Picture
from flows.detect.own_sets import record_set
from flows.detect.report import publish_detect
from flows.detect.shard_task import Job, ShardDone, detect_shard, enough
from landmark_ops.configs.detect import DetectConfig
from landmark_ops.detectors.model_file import read_model
from landmark_ops.detectors.models import get_spec
from landmark_ops.detectors.pipeline_spec import Pipeline
from landmark_ops.detectors.pipelines import get_pipeline
from landmark_ops.detectors.session import load_session
from landmark_ops.detectors.spec import ModelSpec
from landmark_ops.detectors.thresholds import check_thresholds
from landmark_ops.detectors.trial import is_shipped, try_out
from landmark_ops.engine.cluster import ClusterEngine
from landmark_ops.errors import InputError
from landmark_ops.keypoints.schema import SCHEMAS
from landmark_ops.shards.format import SHARD_FORMATS, ShardOptions
from landmark_ops.shards.member import Shard
from landmark_ops.shards.repeats import flag_repeated
from landmark_ops.shards.source import Source, compare, open_shards
from landmark_ops.stores.locations import join, normalise, remove
from landmark_ops.stores.lock import OutputLock
from landmark_ops.stores.tables.tables import PRIVATE, Record, TableSet

SHARD_BYTES = 16 << 20  # what a shard counts for when the engine is chosen: from five shards on, processes
ALLOWED_FAILURES = 20  # a picture that kills its decoder is blamed on every shard that waits beside it
DECIDING = ("input", "outputs", "decoder", "parameters")  # keys of a spec that decide what its rows say
COMMIT_SECONDS = 10.0
COMMIT_SHARDS = 64


class Work(NamedTuple):
    """A checked run: the source, where its rows go, what is left to do, with rounds, and shards that have vanished.

    rewritten: files of shards that are done, written anew under their names since.
    """

    source: Source
    tables: TableSet
    job: Job
    todo: list[tuple[Shard, Turn]]
    vanished: int = 0
    rewritten: int = 0


class Run(NamedTuple):
    """What the stages of one run share in this process and never send anywhere."""

    work: Work
    engine: ClusterEngine
    progress: Progress


@dataclass
class Totals:
    """Sums over the shards of this run."""

    images: int = 0
    instances: int = 0
    replaced: int = 0  # images whose rows on record were taken back, since others are meant now
    reasons: Counter[str] = field(default_factory=Counter)
    rewritten: int = 0  # files known by name that were written anew since their rows were made
    undrawn: Counter[str] = field(default_factory=Counter)
    overlays: list[Picture] = field(default_factory=list)
    passed: Counter[str] = field(default_factory=Counter)  # files beside the images, by suffix
    seconds: float = 0.0

    def add(self, shard: ShardDone, overlays: int) -> None:
        """Add a shard."""
        self.images += shard.images
        self.instances += shard.instances
        self.rewritten += shard.rewritten
        if shard.staged is not None:
            self.replaced += sum(old.rows.get("images", 0) for old in shard.staged.replaces)
        self.reasons += shard.reasons
        self.undrawn += shard.undrawn
        self.passed += shard.passed
        self.overlays = sorted([*self.overlays, *shard.overlays], key=lambda picture: picture.draw)[:overlays]


@pipeline("detect")
def detect(config: DetectConfig) -> dict[str, Any]:
    """Detect in every shard not yet done and commit its rows exactly once; returns the account.

    Run again it does nothing for shards that are done, takes up new and grown ones, and finishes what a crash left.
    A changed pipeline, model or threshold makes a new generation beside the old one (column config_hash).
    """
    return run_detect(config, Progress())


def run_detect(config: DetectConfig, progress: Progress) -> dict[str, Any]:
    """The body of the flow."""
    with OutputLock(join(normalise(config.output.uri), "detect")):
        work = open_work(config, recover=True)
        totals = Totals()
        if work.todo:
            with open_engine(config.cluster, len(work.todo) * SHARD_BYTES, ALLOWED_FAILURES) as engine:
                totals = detect_stage(Run(work, engine, progress), config.report.sample)
        totals.passed += work.source.passed
        remove(join(work.tables.uri, PRIVATE, "attempts"))  # of shards staged by a run that was killed right then
        told = {"vanished": work.vanished, "rewritten": work.rewritten + totals.rewritten}
        return publish_detect(config, work.tables, work.job, totals, progress) | told


def open_work(config: DetectConfig, *, recover: bool) -> Work:
    """Open the shards, commit what an earlier run staged, and find what is left to do.

    With `recover` false nothing is written: the check before a run.

    Raises InputError for an unknown pipeline, a source that cannot be read, tables of another schema, a model file with
    another hash.
    """
    source, detector = config.source, config.detector
    pipeline = get_pipeline(detector.name)
    specs = {name: get_spec(name) for name in pipeline.models}
    check_thresholds(pipeline, detector.thresholds, specs.__getitem__, boxes_given=detector.boxes is not None)
    if not is_shipped(pipeline):
        try_out(pipeline, lambda name: load_session(specs[name]))
    boxes = detector.boxes
    if boxes is not None and not pipeline.steps:
        raise InputError(f"detector.landmarks: {detector.name} finds boxes only: name a pipeline with points")
    tables = TableSet(config.output.uri, SCHEMAS, config.output.format)
    options = shard_options(config)
    opened = open_shards(source.uri, source.format, options)
    if recover:
        tables.prepare()
        bound = tables.agree("source", {"uri": opened.uri})["uri"]
        if bound != opened.uri:
            raise InputError(
                f"output {tables.uri}: its rows come from {bound}, this source is {opened.uri}, and shards are told "
                "apart by name alone: choose another output.uri"
            )
        if pipeline.own_set is not None:
            record_set(tables, pipeline.own_set)
    if opened.buckets is not None and recover:
        agreed = tables.agree("folder", {"buckets": opened.buckets})["buckets"]
        if agreed != opened.buckets:
            opened = open_shards(source.uri, source.format, options._replace(buckets=agreed))
    for spec in specs.values():
        read_model(spec)
    generation = generation_hash(config, pipeline, specs.values(), opened.reads)
    todo, gone, rewritten = [(shard, Turn()) for shard in opened.shards], list[Gone](), 0
    if recover:
        tables.agree(f"reads/{generation}", {**opened.reads, "options": options.said()})
        tables.recover()
        ledger = tables.ledger(generation)
        todo, gone = left_to_do(opened, ledger, by_id=source.id_column is not None)
        left = {shard.id for shard, _ in todo}
        rewritten = sum(shard.rewritten(ledger[shard.id].committed) for shard in opened.shards if shard.id not in left)
    job = Job(
        pipeline=pipeline,
        specs=specs,
        boxes=None if boxes is None else ("relative" if boxes.relative else "pixels"),
        gone=tuple(gone) if source.id_column is not None else (),
        thresholds=detector.thresholds,
        batch=detector.batch,
        max_pixels=detector.max_pixels,
        output=tables.uri,
        format=config.output.format,
        config_hash=generation,
        run_id=uuid.uuid4().hex,
        overlays=max(1, -(-2 * config.report.sample // max(1, len(todo)))) if config.report.sample else 0,
        min_side=enough(pipeline, specs),
    )
    return Work(opened, tables, job, todo, len(gone), rewritten)


def shard_options(config: DetectConfig) -> ShardOptions:
    """What a config says of its source."""
    source, boxes = config.source, config.detector.boxes
    return ShardOptions(
        glob=source.glob,
        column=source.column,
        id_column=source.id_column,
        paths=source.paths,
        boxes_column=boxes.column if boxes else None,
        box_layout=boxes.layout if boxes else None,
        box_relative=boxes is not None and boxes.relative,
    )


def left_to_do(
    source: Source, ledger: Mapping[str, Record], *, by_id: bool
) -> tuple[list[tuple[Shard, Turn]], list[Gone]]:
    """The shards that are new or have changed, with their rounds, and those on record that have left the source.

    Raises InputError for a Delta table whose rows have moved to other files, where no id tells which they are.
    """
    seen = compare(source.shards, {shard: record.version for shard, record in ledger.items()})
    if SHARD_FORMATS[source.format].rows_move and seen.gone and seen.new and not by_id:
        raise InputError(
            f"{source.uri}: {len(seen.gone)} files on record have left the table and {len(seen.new)} have come: rows "
            "that were rewritten cannot be told from new ones: set source.id_column, or choose another output.uri"
        )
    shards = flag_repeated([*seen.new, *seen.changed], seen.done) if by_id else [*seen.new, *seen.changed]
    records = {shard.id: ledger[shard.id] for shard in seen.changed}
    turns = {name: Turn(old.rounds + 1, old.version, old.committed) for name, old in records.items()}
    gone = [Gone(name, ledger[name].version, ledger[name].rounds) for name in seen.gone]
    return [(shard, turns.get(shard.id, Turn())) for shard in shards], gone


def generation_hash(
    config: DetectConfig, pipeline: Pipeline, specs: Iterable[ModelSpec], reads: Mapping[str, Any]
) -> str:
    """Hex digest of all that decides what rows say: pipeline, landmark set, model files, how they are fed and decoded.

    Of the config thresholds; of a pipeline all but what it is called and where its file lies; of a spec all but where
    its file lies and what its licence says; of the source what of it is read. A glob is not among it: it says which
    images, and the row of an image is the same under any.
    """
    parts = {
        "pipeline": pipeline.model_dump(mode="json", exclude={"name", "title", "batch"}),
        "models": [spec.model_dump(mode="json", include={"name", "sha256", *DECIDING}) for spec in specs],
        "detector": config.detector.model_dump(mode="json", exclude={"batch", "boxes", "pipeline", "landmarks"}),
        "boxes given": config.detector.boxes is not None,
        "reads": reads,
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


@stage("detect")
def detect_stage(run: Run, overlays: int) -> Totals:
    """Hand shards to the workers and commit what they staged, many shards per commit."""
    work, engine, progress = run
    totals = Totals()
    pending: list[ShardDone] = []
    known = all(shard.count is not None for shard, _ in work.todo)
    began = committed = time.monotonic()
    items = [(index, index + 1) for index in range(len(work.todo))]
    with progress.stage("detect", sum(shard.count or 0 for shard, _ in work.todo) if known else None, "images"):
        try:
            for _, shards in engine.imap(detect_shard, items, work.todo, work.job):
                for shard in shards:
                    totals.add(shard, overlays)
                    progress.advance(shard.images)
                    pending.append(shard)
                if time.monotonic() - committed > COMMIT_SECONDS or len(pending) >= COMMIT_SHARDS:
                    commit(work.tables, pending)
                    committed = time.monotonic()
        finally:
            commit(work.tables, pending)
    totals.seconds = time.monotonic() - began
    return totals


def commit(tables: TableSet, pending: list[ShardDone]) -> None:
    """Bring staged shards into the tables and empty the list."""
    staged = [shard.staged for shard in pending if shard.staged is not None]
    pending.clear()
    tables.commit(staged)

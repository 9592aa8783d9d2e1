"""One shard, on a worker: read, decode, detect in batches across images, stage the rows. Imports nothing of Prefect."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from itertools import islice
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from flows.detect.earlier import Earlier, Gone, Turn, digest_of, moved_rows
from flows.detect.overlays import Overlays, Picture
from landmark_ops.detectors.instances import Instances
from landmark_ops.detectors.pipeline_run import run_pipeline
from landmark_ops.detectors.pipeline_spec import Pipeline
from landmark_ops.detectors.session import NotANumber, Session, load_session
from landmark_ops.detectors.spec import ModelSpec
from landmark_ops.images.decode import Decoded
from landmark_ops.images.encode import is_drawn
from landmark_ops.images.isolated import Isolation, decode_safely
from landmark_ops.images.reasons import NET_UNDEFINED, DecodeFailure
from landmark_ops.images.threads import use_one_thread
from landmark_ops.keypoints.rows import Outcome, Provenance, concat, to_tables
from landmark_ops.keypoints.schema import SCHEMAS
from landmark_ops.shards.boxes import placed
from landmark_ops.shards.member import BAD_BOXES, Member, Shard
from landmark_ops.stores import locations
from landmark_ops.stores.tables.tables import PRIVATE, ShardRows, Staged, TableFormat, TableSet


@dataclass(frozen=True)
class Job:
    """What every shard of one run shares; small, sent to each worker once.

    `pipeline` and `specs` are what the run started with: files of a user's own are read once, and a worker that has
    lived through several runs remembers none of them.
    """

    pipeline: Pipeline
    specs: Mapping[str, ModelSpec]
    boxes: Literal["pixels", "relative"] | None  # the unit of boxes that are given
    gone: tuple[Gone, ...]  # shards on record that have left the source, where their rows may come again by id
    thresholds: Mapping[str, float]
    batch: int
    max_pixels: int
    output: str
    format: TableFormat
    config_hash: str
    run_id: str
    overlays: int  # per shard, at most
    min_side: int | None  # see `enough`

    @property
    def model_sha256(self) -> dict[str, str]:
        """Of every model that makes rows, by name."""
        return {name: spec.sha256 for name, spec in self.specs.items()}

    def session(self, model: str) -> Session:
        """The session of a model by name; its network is loaded once per process."""
        return load_session(self.specs[model])


class ShardDone(NamedTuple):
    """What a worker tells of a shard: where its rows are staged (None: another run had them), and numbers.

    undrawn: why pictures of the sample could not be drawn, counted; their rows are as good as any. rewritten: images
    known by name that were written anew since their rows were made.
    """

    shard: str
    staged: Staged | None
    images: int
    instances: int
    reasons: Counter[str]
    overlays: list[Picture]
    undrawn: Counter[str]
    passed: Counter[str]  # what lay beside the images, by suffix
    rewritten: int = 0


class Opened(NamedTuple):
    """A member, its decoded picture, and (n, 4) boxes in pixels of the upright original."""

    member: Member
    sha256: str | None
    picture: Decoded
    boxes: NDArray[np.float64]


def detect_shard(item: tuple[int, int], shards: list[tuple[Shard, Turn]], job: Job) -> list[ShardDone]:
    """Detect in shards item[0]..item[1] of the list, each with the round it is in."""
    return [_detect(shard, turn, job) for shard, turn in shards[item[0] : item[1]]]


def _detect(shard: Shard, turn: Turn, job: Job) -> ShardDone:
    use_one_thread()
    tables = _tables(job.output, job.format)
    earlier = Earlier(tables, shard, turn, job.config_hash)
    moved = moved_rows(tables, job.config_hash, job.gone, job.run_id) if job.gone else {}
    provenance = Provenance(
        job.pipeline.landmark_set or "", job.model_sha256, job.config_hash, job.run_id, datetime.now(UTC)
    )
    tally = Tally(shard.id, job)
    parts = []
    with attempt(job, shard) as isolation:
        met = not_drawn(shard.members(earlier.skip, tally.passed), tally.passed)
        for members in batches(earlier.fresh(met, job.boxes is not None, moved), job.batch):
            outcomes = list(outcomes_of(members, job, isolation, tally))
            tally.count(outcomes)
            parts.append(to_tables(outcomes, provenance))
        rows = concat([earlier.carried(), *parts])
        mine = ShardRows(shard.id, shard.version, turn.round, job.config_hash, job.run_id, rows, earlier.replaced())
        return tally.done(tables.stage(mine))._replace(rewritten=earlier.rewritten)


def outcomes_of(members: list[Member], job: Job, isolation: Isolation, tally: Tally) -> Iterator[Outcome]:
    """What became of each of some images, in order. Whatever is wrong with one is a failure of that one alone."""
    opened: list[Opened] = []
    failed: dict[int, Outcome] = {}
    for at, member in enumerate(members):
        try:
            picture, boxes = open_member(member, job, isolation)
            opened.append(Opened(member, digest_of(member), picture, boxes))
        except DecodeFailure as failure:
            why = failure.reason, failure.detail
            failed[at] = Outcome(member.image_id, member.shard, member.member, digest_of(member), failure=why)
    answers = zip(opened, found_in(opened, job), strict=True)
    for at in range(len(members)):
        if at in failed:
            yield failed[at]
            continue
        one, here = next(answers)
        member, picture = one.member, one.picture
        if isinstance(here, NotANumber):
            yield Outcome(member.image_id, member.shard, member.member, one.sha256, failure=(NET_UNDEFINED, str(here)))
            continue
        instances = here if picture.scale == 1 else here.scaled(picture.scale)
        tally.overlays.offer(member.image_id, picture, instances)
        yield Outcome(
            member.image_id, member.shard, member.member, one.sha256, picture.width, picture.height, instances
        )


def found_in(opened: list[Opened], job: Job) -> list[Instances | NotANumber]:
    """What the pipeline found in each of some pictures; a picture that a net overflows on costs itself alone."""
    try:
        return list(
            run_pipeline(
                job.pipeline,
                [one.picture.image for one in opened],
                sessions=job.session,
                boxes=[one.boxes for one in opened] if job.boxes is not None else None,
                thresholds=job.thresholds,
                batch=job.batch,
            )
        )
    except NotANumber as error:
        if len(opened) == 1:
            return [error]
    return [here for one in opened for here in found_in([one], job)]


def open_member(member: Member, job: Job, isolation: Isolation) -> tuple[Decoded, NDArray[np.float64]]:
    """The decoded picture of a member and its boxes; DecodeFailure where it is none, or they do not lie in it."""
    picture = open_picture(member, job, isolation)
    if member.boxes is None:
        return picture, np.empty((0, 4))
    try:
        boxes = placed(member.boxes, picture.width, picture.height, job.boxes == "relative")
    except ValueError as error:
        raise DecodeFailure(BAD_BOXES, str(error)) from None
    return picture, boxes


def open_picture(member: Member, job: Job, isolation: Isolation) -> Decoded:
    """The decoded picture; DecodeFailure where it is none."""
    if member.failure is not None:
        raise DecodeFailure(*member.failure)
    if member.image is not None:
        height, width = member.image.shape[:2]
        if height * width > job.max_pixels:
            raise DecodeFailure("too_large", f"{width} x {height} pixels, the limit is {job.max_pixels}")
        return Decoded(member.image, width, height, 1.0)
    return decode_safely(member.data or b"", isolation=isolation, max_pixels=job.max_pixels, min_side=job.min_side)


def enough(pipeline: Pipeline, specs: Mapping[str, ModelSpec]) -> int | None:
    """The shorter side in pixels from which a picture may be decoded smaller: where nothing is cropped from it.

    A finder with a fixed input sees no more than its own size; twice that keeps the shrinking by the finder's own rule.
    """
    if pipeline.steps or pipeline.refine or pipeline.find is None:
        return None
    sides = specs[pipeline.find].input
    return 2 * max(sides.width, sides.height) if sides.width and sides.height else None


class Tally:
    """Counts of one shard, and the sample of its pictures."""

    def __init__(self, shard: str, job: Job) -> None:
        self.shard = shard
        self.images = self.instances = 0
        self.reasons: Counter[str] = Counter()
        self.passed: Counter[str] = Counter()
        self.overlays = Overlays(job.pipeline.points_set, job.overlays)

    def count(self, outcomes: list[Outcome]) -> None:
        """Add some images."""
        self.images += len(outcomes)
        for outcome in outcomes:
            if outcome.failure is not None:
                self.reasons[outcome.failure[0]] += 1
            elif outcome.instances is not None:
                self.instances += len(outcome.instances.boxes)

    def done(self, staged: Staged | None) -> ShardDone:
        """The shard's account."""
        pictures = self.overlays.pictures()
        return ShardDone(
            self.shard,
            staged,
            self.images,
            self.instances,
            self.reasons,
            pictures,
            self.overlays.undrawn,
            self.passed,
        )


class attempt:
    """Context of one try at a shard: how to decode, learnt from earlier tries.

    A picture that kills its decoder kills the worker. The mark left behind makes the next try decode every picture of
    the shard in a child process, where such a picture becomes a failure and the run goes on.
    """

    def __init__(self, job: Job, shard: Shard) -> None:
        name = hashlib.sha256(f"{job.config_hash}/{shard.id}".encode()).hexdigest()[:32]
        self.mark = locations.join(job.output, PRIVATE, "attempts", name)

    def __enter__(self) -> Isolation:
        if locations.exists(self.mark):
            return "always"
        locations.write_bytes(self.mark, b"")
        return "risky"

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        locations.remove(self.mark)  # an exception is no crash: the process is there to tell


def not_drawn(members: Iterator[Member], passed: Counter[str]) -> Iterator[Member]:
    """The members that are no drawings of ours, which may lie among the pictures they show."""
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
def _tables(output: str, format: TableFormat) -> TableSet:
    return TableSet(output, SCHEMAS, format)

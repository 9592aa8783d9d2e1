"""What goes between the flow and its workers: the job they share, shards handed out one by one, what they report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

from flows.detect.overlays import Picture
from landmark_ops.detectors.pipeline_spec import Pipeline
from landmark_ops.detectors.session import Session, load_session
from landmark_ops.detectors.spec import ModelSpec
from landmark_ops.shards.member import OnRecord, Shard
from landmark_ops.stores.tables.staged import Staged


class Round(NamedTuple):
    """The number of a shard's round, and what the round before put on record."""

    number: int = 1
    recorded: OnRecord = OnRecord("")


class GoneShard(NamedTuple):
    """A shard on record that is no longer in the source."""

    shard: str
    version: str
    round: int


class ShardTask(NamedTuple):
    """One shard to detect in: the item that a worker is sent."""

    shard: Shard
    round: Round = Round()

    def __str__(self) -> str:
        """The name in messages."""
        return f"shard {self.shard.id}"


@dataclass(frozen=True)
class Job:
    """What every shard of one run shares; small, sent to each worker once.

    `pipeline` and `specs` are what the run started with: a user's own files are read once, by the flow, and a worker
    that serves several runs keeps none of them.
    """

    pipeline: Pipeline
    specs: Mapping[str, ModelSpec]
    boxes: Literal["pixels", "relative"] | None  # the unit of boxes that are given
    gone: tuple[GoneShard, ...]  # shards on record but not in the source; their ids may be met in others
    thresholds: Mapping[str, float]
    batch: int
    max_pixels: int
    output: str
    format: str
    config_hash: str
    run_id: str
    overlays: int  # per shard, at most

    @property
    def model_sha256(self) -> dict[str, str]:
        """The sha256 of every model that makes rows, by name."""
        return {name: spec.sha256 for name, spec in self.specs.items()}

    @property
    def min_side(self) -> int | None:
        """The shorter side in pixels from which a picture may be decoded smaller: where nothing is cropped from it.

        A finder with a fixed input sees no more than its own size; at twice that, most of the shrinking is still done
        by the finder's own rule.
        """
        if self.pipeline.steps or self.pipeline.refine or self.pipeline.find is None:
            return None
        sides = self.specs[self.pipeline.find].input
        return 2 * max(sides.width, sides.height) if sides.width and sides.height else None

    def session(self, model: str) -> Session:
        """The session of a model by name; its network is loaded once per process."""
        return load_session(self.specs[model])


class ShardDone(NamedTuple):
    """A worker's report on a shard: where its rows are staged (None: another run had them), and counts.

    undrawn: why pictures of the sample could not be drawn, counted; their rows are not affected. rewritten: images
    of names on record whose rows are replaced.
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

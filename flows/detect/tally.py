"""The account of one shard while a worker detects in it."""

from __future__ import annotations

from collections import Counter

from flows.detect.job import Job, ShardDone
from flows.detect.overlays import Overlays
from landmark_ops.keypoints.rows import ImageOutcome
from landmark_ops.stores.tables.staged import Staged


class Tally:
    """Counts of one shard, and the sample of its pictures."""

    def __init__(self, shard: str, job: Job) -> None:
        self.shard = shard
        self.images = self.instances = 0
        self.reasons: Counter[str] = Counter()
        self.passed: Counter[str] = Counter()
        self.overlays = Overlays(job.pipeline.points_set, job.overlays)

    def count(self, outcomes: list[ImageOutcome]) -> None:
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

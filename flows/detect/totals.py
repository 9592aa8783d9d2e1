"""Sums over the shards of one run, in the process of its flow."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from flows.detect.job import ShardDone
from flows.detect.overlays import Picture


@dataclass
class Totals:
    """Sums over the shards of this run."""

    images: int = 0
    instances: int = 0
    replaced: int = 0  # images whose rows on record were taken out, to be written again or not
    reasons: Counter[str] = field(default_factory=Counter)
    rewritten: int = 0  # pictures whose rows gave way to new ones under the same name
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

"""One try at a shard; where it kills its worker, a mark is left for the next try."""

from __future__ import annotations

import hashlib

from flows.detect.job import Job
from landmark_ops.images.isolated import Isolation
from landmark_ops.shards.member import Shard
from landmark_ops.stores import locations
from landmark_ops.stores.tables.staged import PRIVATE


class Attempt:
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
        locations.remove(self.mark)  # an exception is no crash: the process survives to report it

"""Makes rows for table tests, and writes them from other processes: what a spawned process can import."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

import numpy as np
import pyarrow.compute as pc

from landmark_ops.detectors.instances import Instances
from landmark_ops.keypoints.rows import ImageOutcome, Provenance, to_tables
from landmark_ops.keypoints.schema import SCHEMAS
from landmark_ops.stores.tables.staged import ShardRows
from landmark_ops.stores.tables.tables import TableSet

GENERATION = "c0ffee"


def shard_rows(
    shard: str,
    instances: Sequence[int],
    *,
    generation: str = GENERATION,
    run: str = "run",
    round: int = 1,
    version: str = "v1",
    coordinate: float = 7.5,
    prefix: str = "",
) -> ShardRows:
    """Rows of one shard, image i with instances[i] instances of two points; -1 is a failure."""
    outcomes = []
    for at, n in enumerate(instances):
        name = f"{prefix}{at}.jpg"
        identity = (f"{shard}/{name}", shard, name, "ab" * 32)
        if n < 0:
            outcomes.append(ImageOutcome(*identity, failure=("truncated", "")))
            continue
        found = Instances(
            np.full((n, 4), coordinate),
            np.full(n, 0.5),
            np.full((n, 2, 3), coordinate),
            np.full((n, 2), np.nan),
            np.full((n, 2), np.nan),
            {},
            ("m",),
        )
        outcomes.append(ImageOutcome(*identity, 640, 480, found))
    provenance = Provenance("pair", {"m": "00"}, generation, run, datetime.now(UTC))
    return ShardRows(shard, version, round, generation, run, to_tables(outcomes, provenance))


class Counts(NamedTuple):
    """The account of one generation. Every image is in exactly one of the three that follow `images`."""

    images: int
    with_rows: int
    none_found: int
    failed: int
    instances: int
    shards: int

    @property
    def balanced(self) -> bool:
        """Whether images in = images with rows + images where nothing was found + failures."""
        return self.images == self.with_rows + self.none_found + self.failed


def count(tables: TableSet, config_hash: str) -> Counts:
    """Count a generation, each kind from the table that holds its rows: `images` alone would balance by itself."""
    ours = pc.field("config_hash") == config_hash
    images = tables.dataset("images")
    keypoints = tables.dataset("keypoints")
    first = keypoints.count_rows(filter=ours & (pc.field("instance") == 0))
    return Counts(
        images=images.count_rows(filter=ours),
        with_rows=first,
        none_found=images.count_rows(filter=ours & (pc.field("instances") == 0)),
        failed=tables.dataset("failures").count_rows(filter=ours),
        instances=keypoints.count_rows(filter=ours),
        shards=len(tables.ledger(config_hash)),
    )


def open_tables(uri: str, format: str = "delta") -> TableSet:
    """The tables of a detection run at `uri`, created where they are not."""
    tables = TableSet(uri, SCHEMAS, format)
    tables.prepare()
    return tables


def race(uri: str, shards: Sequence[str], number: int, barrier: Any) -> None:
    """Stage and commit all shards, in an order and with rows of its own: one row set per shard may remain."""
    rng = np.random.default_rng(number)
    barrier.wait()
    tables = open_tables(uri)
    order = list(rng.permutation(len(shards)))
    for pair in (order[i : i + 2] for i in range(0, len(order), 2)):
        wanted = [shard_rows(shards[i], [number, 0, -1, number + 1][: 2 + number % 3], run=str(number)) for i in pair]
        tables.commit([staged for rows in wanted if (staged := tables.stage(rows))])


EVENTS = (
    ("landmark_ops.stores.locations", "write_bytes"),
    ("landmark_ops.stores.tables.claims", "claim"),
    ("deltalake.DeltaTable", "create_write_transaction"),
    ("landmark_ops.stores.locations", "remove"),
)
"""Every step of stage and commit that leaves a trace in storage."""


def count_down(patch: Callable[[str, Any], None], at: float, die: Callable[[], None]) -> list[int]:
    """Let `die` happen between the steps: before step 0, 1, ... for even `at` / 2, halves mean after it."""
    steps = [0]

    def wrap(original: Callable[..., Any]) -> Callable[..., Any]:
        def step(*args: Any, **kwargs: Any) -> Any:
            number = steps[0]
            steps[0] += 1
            if number == at:
                die()
            result = original(*args, **kwargs)
            if number + 0.5 == at:
                die()
            return result

        return step

    import importlib

    for home, name in EVENTS:
        module, _, owner = home.rpartition(".")
        holder = getattr(importlib.import_module(module), owner)
        patch(f"{home}.{name}", wrap(getattr(holder, name)))
    return steps


def write_and_be_killed(uri: str, format: str, at: float) -> None:
    """Stage and commit two shards, and get SIGKILL at a step."""
    from unittest.mock import patch

    tables = open_tables(uri, format)
    count_down(lambda name, new: patch(name, new).start(), at, lambda: os.kill(os.getpid(), signal.SIGKILL))
    wanted = [shard_rows("a.tar", [2, 0, -1], run="first"), shard_rows("b.tar", [1], run="first")]
    tables.commit([staged for rows in wanted if (staged := tables.stage(rows))])

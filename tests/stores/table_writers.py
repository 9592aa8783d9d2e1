"""Makes rows for table tests, and writes them from other processes: what a spawned process can import."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np

from landmark_ops.detectors.instances import Instances
from landmark_ops.keypoints.rows import ImageOutcome, Provenance, to_tables
from landmark_ops.keypoints.schema import SCHEMAS
from landmark_ops.stores.tables.tables import ShardRows, TableFormat, TableSet

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


def open_tables(uri: str, format: TableFormat = "delta") -> TableSet:
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


def write_and_be_killed(uri: str, format: TableFormat, at: float) -> None:
    """Stage and commit two shards, and get SIGKILL at a step."""
    from unittest.mock import patch

    tables = open_tables(uri, format)
    count_down(lambda name, new: patch(name, new).start(), at, lambda: os.kill(os.getpid(), signal.SIGKILL))
    wanted = [shard_rows("a.tar", [2, 0, -1], run="first"), shard_rows("b.tar", [1], run="first")]
    tables.commit([staged for rows in wanted if (staged := tables.stage(rows))])

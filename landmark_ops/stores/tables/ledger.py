"""The ledger: one row per shard and round, written after all tables. What is in it is complete."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

import pyarrow as pa

from landmark_ops.stores.tables.staged import Staged

GENERATION = "config_hash"
LEDGER = "shards"
LEDGER_SCHEMA = pa.schema(
    [
        ("shard", pa.string()),
        ("shard_version", pa.string()),
        ("round", pa.int64()),
        ("rows", pa.map_(pa.string(), pa.int64())),
        ("config_hash", pa.string()),
        ("run_id", pa.string()),
        ("committed_at", pa.timestamp("us", tz="UTC")),
    ]
)
"""`rows` maps each table to how many rows the shard added to it in this round."""


class Record(NamedTuple):
    """What the ledger says of a shard: version and time of its latest round, how many rounds, and rows by table."""

    version: str
    rounds: int
    rows: dict[str, int]
    committed: float = 0.0  # seconds since 1970


def ledger_rows(staged: Sequence[Staged], names: Sequence[str]) -> pa.Table:
    """Rows of the ledger for finished shards: one each, and one per shard whose rows they replace. `names`: tables."""
    now = datetime.now(UTC)
    lines = [
        (one.shard, one.version, one.round, {t: file.rows for t, file in one.files.items()}, one.run_id)
        for one in staged
    ]
    for one in staged:
        for old in one.replaces:
            lines.append((old.shard, old.version, old.round, {t: -n for t, n in old.rows.items()}, one.run_id))
    columns: list[list[Any]] = [
        *(list(column) for column in zip(*(line[:3] for line in lines), strict=True)),
        [[(t, rows.get(t, 0)) for t in names] for _, _, _, rows, _ in lines],
        [run_id for *_, run_id in lines],
        [now] * len(lines),
    ]
    form = pa.schema([field for field in LEDGER_SCHEMA if field.name != GENERATION])
    return pa.table([pa.array(c, field.type) for c, field in zip(columns, form, strict=True)], schema=form)


def records(table: pa.Table) -> dict[str, Record]:
    """What rows of the ledger, of one generation, say by shard."""
    found: dict[str, Record] = {}
    for row in sorted(table.to_pylist(), key=lambda row: (row["shard"], row["round"])):
        before = found.get(row["shard"], Record("", 0, {})).rows
        rows = {name: before.get(name, 0) + count for name, count in row["rows"]}
        found[row["shard"]] = Record(row["shard_version"], row["round"], rows, row["committed_at"].timestamp())
    return found

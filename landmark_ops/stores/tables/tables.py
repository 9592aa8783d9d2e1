"""The tables of a detection run at one address: every shard's rows are in all of them exactly once, or not at all.

    <uri>/<table>           Delta tables (or folders of Parquet), partitioned by config_hash, the generation
    <uri>/shards            the ledger: one row per shard and round, written last; what is in it is complete
    <uri>/_landmark_ops/    claims of shards on their way, and what runs have agreed on

A shard's rows are staged by a worker, then committed with those of others by the process that runs the flow; either may
be cut short by a crash. A rerun begins with `recover`, which commits what is fully staged. A shard that grows is done
in rounds, numbered from 1: each adds rows, and none is ever written twice. A round may also replace rows of earlier
ones: each table drops them in the commit that adds the new ones.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from landmark_ops.errors import InputError, RunError
from landmark_ops.stores import locations
from landmark_ops.stores.faults import said
from landmark_ops.stores.tables import claims
from landmark_ops.stores.tables.checked_rows import CheckedRows
from landmark_ops.stores.tables.format import TABLES
from landmark_ops.stores.tables.ledger import GENERATION, LEDGER, Record, records
from landmark_ops.stores.tables.staged import PRIVATE, ShardRows, Staged


class TableSet:
    """Tables of given schemas, committed in the order given. All have columns `shard` and `config_hash`.

    `format`: a name of TABLES; InputError for another one.
    """

    def __init__(self, uri: str, schemas: Mapping[str, pa.Schema], format: str = "delta") -> None:
        self.uri = locations.normalise(uri)
        self.schemas = dict(schemas)
        self._store = TABLES[format].store(self.uri, self.schemas)

    def table_uri(self, name: str) -> str:
        """Address of a table."""
        return self._store.table_uri(name)

    def prepare(self) -> None:
        """Create what is not there. `InputError` where tables of other columns, or other things, are."""
        for name in (*self.schemas, LEDGER):
            with said(f"output {self.table_uri(name)}: cannot be written"):
                self._store.prepare(name)

    def agree(self, name: str, value: Mapping[str, Any]) -> dict[str, Any]:
        """The value on record as `name`; puts `value` on record if there is none. RunError where it is damaged."""
        uri = locations.join(self.uri, PRIVATE, f"{name}.json")
        mine = json.dumps({"value": dict(value), "by": uuid.uuid4().hex}).encode()
        try:
            agreed: dict[str, Any] = json.loads(claims.claim(uri, mine))["value"]
        except (ValueError, KeyError) as error:
            raise RunError(f"{uri}: is damaged: remove it, then run again") from error
        return agreed

    def stage(self, rows: ShardRows) -> Staged | None:
        """Write a shard's rows where `commit` will find them; None where this round is in the ledger already.

        Safe to run on any worker, and twice: the result may be what another worker staged first.
        """
        self._check(rows)
        mark = Staged(rows.shard, rows.version, rows.round, rows.config_hash, rows.run_id, {}, rows.replaces)
        if self._store.in_ledger(mark):
            return None
        return self._store.stage(mark, {t: table.drop_columns([GENERATION]) for t, table in rows.tables.items()})

    def commit(self, staged: Iterable[Staged]) -> list[str]:
        """Bring staged shards into the tables, each table in one commit; returns the shards, all complete now."""
        batch = list({one.transaction: one for one in staged}.values())
        if batch:
            self._store.commit(batch)
        return [one.shard for one in batch]

    def recover(self) -> list[str]:
        """Commit what an earlier run staged and did not commit; returns those shards. Costs one listing if nothing."""
        return self.commit(self._store.unfinished())

    def ledger(self, config_hash: str) -> dict[str, Record]:
        """What is complete of a generation, by shard."""
        return records(self.dataset(LEDGER).to_table(filter=pc.field(GENERATION) == config_hash))

    def values(self, name: str, column: str, config_hash: str, shard: str | None = None) -> set[str]:
        """The values of a column of strings, of one shard or of all."""
        wanted = pc.field(GENERATION) == config_hash
        if shard is not None:
            wanted &= pc.field("shard") == shard
        found: set[str] = set()
        for batch in self.dataset(name).to_batches(columns=[column], filter=wanted):
            found.update(batch.column(0).to_pylist())
        return found

    def rows_of(self, name: str, config_hash: str, shard: str, before: int) -> pa.Table:
        """The rows of a shard that are complete, those of rounds lower than `before`, as they were handed in."""
        return self._store.rows_of(name, config_hash, shard, before)

    def dataset(self, name: str) -> CheckedRows:
        """A table as it is now, for reading."""
        return self._store.dataset(name)

    def _check(self, rows: ShardRows) -> None:
        for name, schema in self.schemas.items():
            table = rows.tables[name]
            if table.schema != schema:
                raise InputError(f"table {name}: rows have columns {table.schema.names}, needed are {schema.names}")
            for column, value in (("shard", rows.shard), (GENERATION, rows.config_hash)):
                others = pc.unique(table.column(column)).to_pylist()
                if others not in ([], [value]):
                    raise InputError(f"table {name}: rows of {column} {others} given as those of {value!r}")

"""The tables of a detection run at one address: every shard's rows in all of them exactly once, or in none for good.

    <uri>/<table>           Delta tables (or folders of Parquet), partitioned by config_hash, the generation
    <uri>/shards            the ledger: one row per shard and round, written last; what is in it is complete
    <uri>/_landmark_ops/    claims of shards on their way, and what runs have agreed on

A shard's rows go three steps, any of which may be cut short by a crash:

    stage   a worker writes the shard's rows as one Parquet file per table, under names of their own, then claims the
            shard with one small object that names the files. The first claim wins; whoever comes second drops its own
            files and takes the winner's. From here on nothing is computed again.
    commit  the files are added to the tables, in order, the ledger last, each table in one commit for many shards,
            under an app transaction per shard, so doing it again adds nothing.
    clear   the claim is removed.

A rerun begins with `recover`, which commits what is claimed. Because the claim fixes the rows, tables cannot disagree
even where detection itself is not repeatable (a decoder that timed out once). Between the first commit and the ledger's
a reader may see rows of a shard that is not in the ledger yet: join with `shards` to leave them out.
A shard that grows is done in rounds, numbered from 1: each adds rows, and none is ever written twice. A round may also
take the place of rows of earlier ones: they leave each table in the commit that brings the new ones.

Parquet has no transactions: files get names that follow from shard and round, each written whole, the ledger's last,
and a rerun writes the same names again. That is exactly once for one run at a time, which the output's lock sees to.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Literal, NamedTuple
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq
from deltalake import DeltaTable
from deltalake.schema import Schema

from landmark_ops.errors import InputError, RunError
from landmark_ops.stores import locations
from landmark_ops.stores.delta_log import is_delta
from landmark_ops.stores.faults import said
from landmark_ops.stores.tables import claims, delta_tables
from landmark_ops.stores.tables.checked_rows import CheckedRows, read_file
from landmark_ops.stores.tables.delta_tables import Addition, AppTransaction, Changes
from landmark_ops.stores.tables.replacing import files_holding, without
from landmark_ops.stores.tables.staged import File as File
from landmark_ops.stores.tables.staged import ShardRows as ShardRows
from landmark_ops.stores.tables.staged import Staged as Staged
from landmark_ops.stores.tables.staged import from_json, to_json

TableFormat = Literal["delta", "parquet"]
GENERATION = "config_hash"
LEDGER = "shards"
PRIVATE = "_landmark_ops"

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


class TableSet:
    """Tables of given schemas, committed in the order given. All have columns `shard` and `config_hash`."""

    def __init__(self, uri: str, schemas: Mapping[str, pa.Schema], format: TableFormat = "delta") -> None:
        if format not in ("delta", "parquet"):
            raise InputError(f"output.format is {format!r}, it may be 'delta' or 'parquet'")
        self.uri = locations.normalise(uri)
        self.format = format
        self.schemas = dict(schemas)
        self._all = {**self.schemas, LEDGER: LEDGER_SCHEMA}

    def table_uri(self, name: str) -> str:
        """Address of a table."""
        return locations.join(self.uri, name)

    def prepare(self) -> None:
        """Create what is not there. `InputError` where tables of other columns, or other things, are."""
        for name, schema in self._all.items():
            uri = self.table_uri(name)
            with said(f"output {uri}: cannot be written"):
                if self.format == "delta":
                    delta_tables.ensure(uri, schema, GENERATION)
                else:
                    _check_parquet(uri, _stored(schema))

    def agree(self, name: str, value: Mapping[str, Any]) -> dict[str, Any]:
        """What the first run to ask put on record as `name`: its `value`, or this one. RunError where it is damaged."""
        uri = locations.join(self.uri, PRIVATE, f"{name}.json")
        mine = json.dumps({"value": dict(value), "by": uuid.uuid4().hex}).encode()
        try:
            agreed: dict[str, Any] = json.loads(claims.claim(uri, mine))["value"]
        except (ValueError, KeyError) as error:
            raise RunError(f"{uri}: is damaged: remove it, then run again") from error
        return agreed

    def stage(self, rows: ShardRows) -> Staged | None:
        """Write a shard's rows where `commit` will find them; None where this round is in the ledger already.

        Safe to run on any worker, and twice: what is returned may be what another one staged first.
        """
        self._check(rows)
        mark = Staged(rows.shard, rows.version, rows.round, rows.config_hash, rows.run_id, {}, rows.replaces)
        if self._in_ledger(mark):
            return None
        if self.format == "parquet":
            name = f"{_key(rows.shard)}-{rows.round}.parquet"
            return mark._replace(files={t: self._write(t, table, rows, name) for t, table in rows.tables.items()})
        name = f"{_key(rows.shard)}-{rows.round}-{uuid.uuid4().hex[:12]}.parquet"
        filled = {t: table for t, table in rows.tables.items() if table.num_rows}
        mine = mark._replace(files={t: self._write(t, table, rows, name) for t, table in filled.items()})
        winner = self._claim(mine)
        if winner != mine:
            self._drop_files(mine)
        return winner

    def _claim(self, mine: Staged) -> Staged | None:
        uri = self._claim_uri(mine)
        while True:
            try:
                winner = from_json(claims.claim(uri, to_json(mine)))
            except FileNotFoundError:
                winner = None
            except (ValueError, KeyError, TypeError):  # left in part by a crash, where there are no hard links
                locations.remove(uri)
                continue
            # A claim is removed after the ledger's commit: where it is missing, or was free to take, look there.
            if (winner is None or winner == mine) and self._in_ledger(mine):
                if winner == mine:
                    locations.remove(uri)
                return None
            if winner is not None:
                return winner

    def commit(self, staged: Iterable[Staged]) -> list[str]:
        """Bring staged shards into the tables, each table in one commit; returns the shards, all complete now."""
        batch = list({one.transaction: one for one in staged}.values())
        if not batch:
            return []
        if self.format == "parquet":
            for one in batch:
                self._drop_replaced(one)
                self._write_ledger([one], f"{_key(one.shard)}-{one.round}.parquet")
            return [one.shard for one in batch]
        by_transaction = {one.transaction: one for one in batch}
        for name in self.schemas:
            self._add(name, {one.transaction: one for one in batch if name in one.files or one.replaces})
        delta_tables.add_once(
            self.table_uri(LEDGER),
            list(by_transaction),
            lambda _, missing: Changes(self._ledger_additions([by_transaction[one] for one in missing]), []),
        )
        for one in batch:
            locations.remove(self._claim_uri(one))
        return [one.shard for one in batch]

    def recover(self) -> list[str]:
        """Commit what an earlier run staged and did not commit; returns those shards. Costs one listing if nothing."""
        folder = locations.join(self.uri, PRIVATE, "claims")
        if self.format == "parquet" or not locations.is_folder(folder):
            return []
        whole: list[Staged] = []
        for item in locations.list_objects(folder):
            uri = locations.join(folder, item.key)
            if not item.key.endswith(".json"):
                locations.remove(uri)  # what a crash left of a claim
                continue
            try:
                staged = from_json(locations.read_bytes(uri))
                whole.append(staged) if self._files_are_whole(staged) else locations.remove(uri)
            except FileNotFoundError:
                continue  # another run has finished it just now
            except (ValueError, KeyError, TypeError):
                locations.remove(uri)
        return self.commit(whole)

    def ledger(self, config_hash: str) -> dict[str, Record]:
        """What is complete of a generation, by shard."""
        table = self.dataset(LEDGER).to_table(filter=pc.field(GENERATION) == config_hash)
        records: dict[str, Record] = {}
        for row in sorted(table.to_pylist(), key=lambda row: (row["shard"], row["round"])):
            before = records.get(row["shard"], Record("", 0, {})).rows
            rows = {name: before.get(name, 0) + count for name, count in row["rows"]}
            records[row["shard"]] = Record(row["shard_version"], row["round"], rows, row["committed_at"].timestamp())
        return records

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
        schema = self._all[name]
        if self.format == "delta":  # a round that is not complete is in no table, or `recover` has completed it
            wanted = (pc.field(GENERATION) == config_hash) & (pc.field("shard") == shard)
            return self.dataset(name).to_table(filter=wanted).select(schema.names).cast(schema)
        parts = [read_file(file) for file in self._files_of(name, config_hash, shard, before)]
        stored = pa.concat_tables(parts) if parts else _stored(schema).empty_table()
        generation = pa.repeat(pa.scalar(config_hash, pa.string()), stored.num_rows)
        return stored.append_column(GENERATION, generation).select(schema.names).cast(schema)

    def dataset(self, name: str) -> CheckedRows:
        """A table as it is now, for reading."""
        uri, schema = self.table_uri(name), self._all[name]
        if self.format == "delta":
            return CheckedRows(uri, delta_tables.open_table(uri).to_pyarrow_dataset())
        if not locations.is_folder(uri):
            return CheckedRows(uri, ds.dataset(schema.empty_table()))
        fs, path = locations.filesystem(uri) if locations.is_remote(uri) else (None, uri)
        generation = ds.partitioning(pa.schema([(GENERATION, pa.string())]), flavor="hive")
        form = ds.dataset(path, schema=schema, format="parquet", filesystem=fs, partitioning=generation)
        return CheckedRows(uri, form)

    def compact(self) -> None:
        """Merge the small files of Delta tables; rows stay the same. Safe beside writers."""
        if self.format == "delta":
            for name in self._all:
                delta_tables.open_table(self.table_uri(name)).optimize.compact()

    def _add(self, name: str, staged: Mapping[AppTransaction, Staged]) -> None:
        """Add the shards' files to a table, and take out what they replace, in one commit."""

        def changes(table: DeltaTable, missing: list[AppTransaction]) -> Changes:
            these = [staged[transaction] for transaction in missing]
            added = [_addition(one, one.files[name]) for one in these if name in one.files]
            removed: list[str] = []
            for config_hash in {one.config_hash for one in these if one.replaces}:
                replaced = [old for one in these if one.config_hash == config_hash for old in one.replaces]
                for path in files_holding(table, (GENERATION, config_hash), [old.shard for old in replaced]):
                    held = read_file(locations.join(self.table_uri(name), unquote(path)))
                    kept = without(held, replaced)
                    if kept.num_rows == held.num_rows:
                        continue
                    removed.append(path)
                    if kept.num_rows:
                        file = self._write_file(name, kept, config_hash, f"{uuid.uuid4().hex}.parquet")
                        added.append(Addition(file.path, file.size, file.rows, {GENERATION: config_hash}, file.bounds))
            return Changes(added, removed)

        if staged:
            delta_tables.add_once(self.table_uri(name), list(staged), changes)

    def _drop_replaced(self, staged: Staged) -> None:
        """Take what a shard replaces out of the Parquet files of earlier rounds."""
        for name in self.schemas:
            for old in staged.replaces:
                for uri in self._files_of(name, staged.config_hash, old.shard, old.round + 1):
                    held = read_file(uri)
                    kept = without(held, [old])
                    if kept.num_rows < held.num_rows:
                        self._write_file(name, kept, staged.config_hash, uri.rpartition("/")[2])

    def _files_of(self, name: str, config_hash: str, shard: str, before: int) -> list[str]:
        """The Parquet files of a shard in rounds lower than `before`."""
        folder = locations.join(self.table_uri(name), f"{GENERATION}={config_hash}")
        files = [locations.join(folder, f"{_key(shard)}-{round}.parquet") for round in range(1, before)]
        return [file for file in files if locations.is_file(file)]

    def _ledger_additions(self, staged: Sequence[Staged]) -> list[Addition]:
        additions = []
        for config_hash in sorted({one.config_hash for one in staged}):
            part = [one for one in staged if one.config_hash == config_hash]
            file = self._write_ledger(part, f"{uuid.uuid4().hex}.parquet")
            additions.append(_addition(part[0], file))
        return additions

    def _write_ledger(self, staged: Sequence[Staged], name: str) -> File:
        """Write what shards have come to: a row for each, and one for each shard whose rows they take away."""
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
            [[(t, rows.get(t, 0)) for t in self.schemas] for _, _, _, rows, _ in lines],
            [run_id for *_, run_id in lines],
            [now] * len(lines),
        ]
        form = _stored(LEDGER_SCHEMA)
        table = pa.table([pa.array(c, field.type) for c, field in zip(columns, form, strict=True)], schema=form)
        return self._write_file(LEDGER, table, staged[0].config_hash, name)

    def _write(self, name: str, table: pa.Table, rows: ShardRows, file: str) -> File:
        return self._write_file(name, table.drop_columns([GENERATION]), rows.config_hash, file)

    def _write_file(self, name: str, table: pa.Table, config_hash: str, file: str) -> File:
        path = f"{GENERATION}={config_hash}/{file}"
        uri = locations.join(self.table_uri(name), path)
        sink = pa.BufferOutputStream()
        strings = [field.name for field in table.schema if pa.types.is_string(field.type)]
        pq.write_table(table, sink, compression="zstd", use_dictionary=strings, write_page_checksum=True)
        data = sink.getvalue().to_pybytes()
        locations.write_bytes(uri, data)
        return File(path, len(data), table.num_rows, _bounds(table))

    def _check(self, rows: ShardRows) -> None:
        for name, schema in self.schemas.items():
            table = rows.tables[name]
            if table.schema != schema:
                raise InputError(f"table {name}: rows have columns {table.schema.names}, needed are {schema.names}")
            for column, value in (("shard", rows.shard), (GENERATION, rows.config_hash)):
                others = pc.unique(table.column(column)).to_pylist()
                if others not in ([], [value]):
                    raise InputError(f"table {name}: rows of {column} {others} given as those of {value!r}")

    def _in_ledger(self, staged: Staged) -> bool:
        if self.format == "delta":
            return delta_tables.on_record(delta_tables.open_table(self.table_uri(LEDGER)), staged.transaction)
        file = f"{GENERATION}={staged.config_hash}/{_key(staged.shard)}-{staged.round}.parquet"
        return locations.is_file(locations.join(self.table_uri(LEDGER), file))

    def _claim_uri(self, staged: Staged) -> str:
        name = f"{_key(staged.shard)}-{staged.round}.json"
        return locations.join(self.uri, PRIVATE, "claims", staged.config_hash, name)

    def _files_are_whole(self, staged: Staged) -> bool:
        try:
            return all(
                locations.stat(locations.join(self.table_uri(name), file.path)).size == file.size
                for name, file in staged.files.items()
            )
        except FileNotFoundError:
            return False

    def _drop_files(self, staged: Staged) -> None:
        for name, file in staged.files.items():
            locations.remove(locations.join(self.table_uri(name), file.path))


def _stored(schema: pa.Schema) -> pa.Schema:
    """A table's columns as its files hold them: the generation is in the folder's name."""
    return pa.schema([field for field in schema if field.name != GENERATION])


def _check_parquet(uri: str, schema: pa.Schema) -> None:
    if not locations.exists(uri):
        return
    if is_delta(uri):
        raise InputError(f"output {uri}: holds a Delta table: set output.format: delta, or choose another output.uri")
    names = [item.key for item in locations.list_objects(uri) if not item.key.rpartition("/")[2].startswith(".")]
    if not all(name.startswith(f"{GENERATION}=") and name.endswith(".parquet") for name in names):
        raise InputError(
            f"output {uri}: holds something that is no table of ours and is never overwritten: choose another "
            "output.uri, or move it away"
        )
    if names:
        with locations.open_binary(locations.join(uri, names[0])) as file:
            found = pq.read_schema(file)
        # As Delta would name the types: Arrow's own names tell apart what files do not.
        columns = [delta_tables.columns_of(Schema.from_arrow(form)) for form in (found, schema)]
        delta_tables.check_columns(uri, *columns)


def _addition(staged: Staged, file: File) -> Addition:
    return Addition(file.path, file.size, file.rows, {GENERATION: staged.config_hash}, file.bounds)


def _bounds(table: pa.Table) -> dict[str, tuple[str, str]]:
    bounds: dict[str, tuple[str, str]] = {}
    for name in delta_tables.STATISTICS:
        if name in table.column_names and table.num_rows and table.column(name).null_count == 0:
            found = pc.min_max(table.column(name)).as_py()
            bounds[name] = (found["min"], found["max"])
    return bounds


def _key(shard: str) -> str:
    return hashlib.sha256(shard.encode()).hexdigest()[:32]

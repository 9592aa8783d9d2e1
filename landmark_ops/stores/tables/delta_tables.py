"""Delta tables to which each file is added exactly once, whatever fails in between.

A file is added under an app transaction: an id and a number that only grows. Delta refuses two concurrent commits with
the same id, but silently takes a later one of the same number (delta-rs #2580), so the number on record is read
before every attempt, from the very snapshot the attempt is based on. After an error of any kind it is read again: after
a lost reply, our own commit looks like a conflict with another writer's. Statistics in the log are ours: counts, shard
and a few more, never coordinates or names of images, which could not be erased from it.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
from deltalake import CommitProperties, DeltaTable, Transaction
from deltalake.exceptions import DeltaError
from deltalake.schema import Schema
from deltalake.transaction import AddAction, RemoveAction

from landmark_ops.errors import InputError, RunError
from landmark_ops.stores import locations
from landmark_ops.stores.delta_log import is_delta
from landmark_ops.stores.faults import fault_of, persist
from landmark_ops.stores.tables.files import STATISTICS
from landmark_ops.stores.tables.staged import AppTransaction
from landmark_ops.wording import one_line

ATTEMPTS = 12
PATIENCE = 2  # of them after failures of the store, each of which deltalake has tried again ten times itself


class Addition(NamedTuple):
    """A file to add, `path` relative to the table."""

    path: str
    size: int
    rows: int
    partition: Mapping[str, str]
    bounds: Mapping[str, tuple[str, str]]  # smallest and largest value of some columns


class Changes(NamedTuple):
    """What a commit adds, and the paths of the files that it takes out."""

    added: list[Addition]
    removed: list[str]


def open_table(uri: str) -> DeltaTable:
    """The latest version of a table of ours.

    Raises RunError where it cannot be opened.
    """
    try:  # deltalake tries again what it sends, but not a listing of the log whose reply is cut
        return persist(lambda: DeltaTable(uri, storage_options=locations.delta_options(uri)))
    except (DeltaError, OSError) as error:
        if (fault := fault_of(error)) is not None:
            raise fault.error(f"{uri}: the Delta table cannot be opened") from error
        raise RunError(
            f"{uri}: the Delta table cannot be opened ({one_line(error)}): check that it is still there"
        ) from error


def ensure(uri: str, schema: pa.Schema, partition: str) -> None:
    """Create the table where nothing is; `InputError` where something else is, or columns differ."""
    if not is_delta(uri):
        if not locations.is_empty(uri):
            raise InputError(
                f"output {uri}: holds something that is no Delta table and is never overwritten: choose another "
                "output.uri, or move it away"
            )
        statistics = [name for name in STATISTICS if schema.get_field_index(name) >= 0]
        try:
            persist(  # the failed attempt may have created the table after all
                lambda: DeltaTable.create(
                    uri,
                    schema,
                    mode="ignore",
                    partition_by=[partition],
                    configuration={"delta.dataSkippingStatsColumns": ",".join(statistics)},
                    storage_options=locations.delta_options(uri),
                )
            )
        except (DeltaError, OSError) as error:
            if not is_delta(uri):  # else another process was faster
                if (fault := fault_of(error)) is not None:
                    raise fault.error(f"output {uri}: cannot be written") from error
                raise InputError(
                    f"output {uri}: cannot be written ({one_line(error)}): choose another output.uri, or permit "
                    "writing there"
                ) from error
    table = open_table(uri)
    check_columns(uri, columns_of(table.schema()), columns_of(Schema.from_arrow(schema)))
    found = list(table.metadata().partition_columns)
    if found != [partition]:
        raise InputError(f"output {uri}: is partitioned by {found}, needed is {partition}: choose another output.uri")


def columns_of(schema: Schema) -> dict[str, str]:
    """Name and type of each column, as text."""
    return {
        field["name"]: json.dumps(field["type"], sort_keys=True) for field in json.loads(schema.to_json())["fields"]
    }


def check_columns(uri: str, found: Mapping[str, str], needed: Mapping[str, str]) -> None:
    """Raise `InputError` naming the columns in which a table differs from what would be written."""
    if dict(found) == dict(needed):
        return
    missing = sorted(needed.keys() - found.keys())
    extra = sorted(found.keys() - needed.keys())
    other = sorted(name for name in needed.keys() & found.keys() if needed[name] != found[name])
    said = [
        f"{what} {', '.join(names)}"
        for what, names in (("lacks", missing), ("also has", extra), ("has another type of", other))
        if names
    ]
    raise InputError(
        f"output {uri}: is a table of other columns ({'; '.join(said)}): choose another output.uri, or move it away"
    )


def add_once(
    uri: str,
    transactions: Sequence[AppTransaction],
    changes: Callable[[DeltaTable, list[AppTransaction]], Changes],
) -> list[AppTransaction]:
    """Commit the files of the transactions that are not on record yet, all at once; returns those it committed.

    `changes` names the files of some transactions, as the table is then. Returns an empty list where all were on record
    before. After a lost reply the caller cannot tell whose commit it was, nor need it: the files are there once. Raises
    `RunError` when it cannot be done.
    """
    error: Exception | None = None
    for attempt in range(ATTEMPTS):
        if attempt:
            time.sleep(random.uniform(0, min(0.05 * 2**attempt, 5.0)))
        table = open_table(uri)
        missing = [transaction for transaction in transactions if not on_record(table, transaction)]
        if not missing:
            return []
        try:
            added, removed = changes(table, missing)
            now = int(time.time() * 1000)
            table.create_write_transaction(
                [*(_action(addition) for addition in added), *(RemoveAction(path, True, now) for path in removed)],
                "append",
                table.schema(),
                list(table.metadata().partition_columns),
                commit_properties=CommitProperties(app_transactions=[Transaction(*one) for one in missing]),
            )
            return missing
        except RunError:
            raise
        except Exception as failure:  # a conflict, a lost reply, a timeout: only the log shows whether it was committed
            error = failure
            fault = fault_of(failure)
            if fault is not None and not (fault.passing and attempt < PATIENCE):
                raise fault.error(f"output {uri}: cannot be committed to") from failure
    table = open_table(uri)
    if all(on_record(table, transaction) for transaction in transactions):
        return []
    raise RunError(f"{uri}: could not be committed in {ATTEMPTS} attempts ({one_line(error)}): run again") from error


def on_record(table: DeltaTable, transaction: AppTransaction) -> bool:
    """Whether a table holds this app transaction, or a later one of its id."""
    name, number = transaction
    return (table.transaction_version(name) or 0) >= number


def _action(addition: Addition) -> AddAction:
    statistics: dict[str, Any] = {
        "numRecords": addition.rows,
        "minValues": {name: low for name, (low, _) in addition.bounds.items()},
        "maxValues": {name: high for name, (_, high) in addition.bounds.items()},
        "nullCount": dict.fromkeys(addition.bounds, 0),
    }
    # Not escaped: Delta's reader of statistics takes the escape \ud840\udc00 for U+10000 instead of U+20000, and would
    # then leave out the file when asked for its very shard.
    written = json.dumps(statistics, ensure_ascii=False)
    return AddAction(addition.path, addition.size, addition.partition, int(time.time() * 1000), True, written)


def files_holding(table: DeltaTable, partition: tuple[str, str], shards: Sequence[str]) -> list[str]:
    """Paths of the files of a Delta table that may hold rows of some shards, by the bounds in its log."""
    actions = pa.table(table.get_add_actions(flatten=True))
    wanted = pc.equal(actions.column(f"partition.{partition[0]}"), partition[1])
    if {"min.shard", "max.shard"} <= set(actions.column_names):
        low, high = actions.column("min.shard"), actions.column("max.shard")
        between = pc.and_(pc.less_equal(low, max(shards)), pc.greater_equal(high, min(shards)))
        wanted = pc.and_(wanted, pc.fill_null(between, True))
    return [str(path) for path in actions.column("path").filter(wanted).to_pylist()]

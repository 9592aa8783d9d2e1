"""The data files of a Delta table from outside: which they are, in which order, and that they alone give its rows.

A Delta log can say that the files do not mean what they hold: columns go by other names, rows are deleted, commits lie
elsewhere. Tables that use such a feature, or one not known to be harmless, are refused by its name. A log can also name
files anywhere: parts outside the table are refused.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple
from urllib.parse import unquote

import pyarrow as pa

from landmark_ops.errors import InputError
from landmark_ops.stores import locations
from landmark_ops.stores.faults import fault_of, persist
from landmark_ops.stores.sources.delta_versions import check_in_log, check_whole
from landmark_ops.wording import one_line

#: Reader features under which a file's columns and rows are still the table's. Widened types are widened by our reader.
_HARMLESS = frozenset(
    (
        "timestampNanos",
        "timestampNtz",
        "typeWidening",
        "typeWidening-preview",
        "v2Checkpoint",
        "vacuumProtocolCheck",
        "variantType",
        "variantType-preview",
    )
)
_ELSEWHERE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:/+|/|\\")  # another store, also as Hadoop writes file:/, or the root
_MAPPING = "delta.columnMapping.mode"


class DeltaSource(NamedTuple):
    """One version of a table: its files in the order in which delta-rs reads them, its partition keys, its columns.

    That order is the newest commit first, and the actions of a commit as they stand in it; checkpoints that delta-rs
    writes keep it.
    """

    files: list[str]
    version: int
    keys: list[str]
    fields: list[str]  # all columns, those of the keys included


class _Log(NamedTuple):
    """What the log says of one version, in delta-rs's own terms but for the files."""

    protocol: Any
    metadata: Any
    version: int
    fields: list[str]
    files: list[str]


def delta_source(uri: str, version: int | None = None) -> DeltaSource:
    """The files of one version of the table, the latest as of now unless one is given.

    Raises `InputError` for tables that cannot be opened, whose files alone do not say what their rows are, or that name
    files outside the table; for a given version that is not in the log, or whose files have been vacuumed.
    """
    log = _read_log(uri, version)
    mapping = log.metadata.configuration.get(_MAPPING) or "none"
    used = set(log.protocol.reader_features or []) - _HARMLESS - {"columnMapping"}
    if mapping != "none":  # also set by the property alone, under reader version 2, which knows no features
        used |= {f"columnMapping ({mapping})"}
    if used:
        raise InputError(
            f"{uri}: uses {', '.join(sorted(used))}, which would need more than its files to read: "
            "write it anew without, e.g. with deltalake.write_deltalake"
        )
    if version is not None:
        check_whole(uri, log.version, lambda other: log.files if other == log.version else _read_log(uri, other).files)
    return DeltaSource(log.files, log.version, list(log.metadata.partition_columns), log.fields)


def _read_log(uri: str, version: int | None) -> _Log:
    from deltalake import DeltaTable
    from deltalake.exceptions import DeltaError

    options = locations.delta_options(uri) or None
    try:
        table = persist(lambda: DeltaTable(uri, version=version, storage_options=options))
        fields = [field.name for field in table.schema().fields]
        paths = pa.table(table.get_add_actions()).column("path").to_pylist()
        protocol, metadata, found = table.protocol(), table.metadata(), table.version()
    except (DeltaError, OSError, ValueError, OverflowError) as error:  # a version below 0 overflows
        if (fault := fault_of(error)) is not None:
            raise fault.error(f"{uri}: the Delta table cannot be opened") from error
        if version is not None:
            check_in_log(uri, version)
        raise InputError(
            f"{uri}: the Delta table cannot be opened ({one_line(error)}): check that its log is whole"
        ) from error
    return _Log(protocol, metadata, found, fields, [_inside(uri, path) for path in paths])


def _inside(uri: str, path: str) -> str:
    """The address of a part by its path in the log, percent-encoded as in URLs; refused where it is not below `uri`."""
    # file_uris() percent-encodes the table's own address too, so the files are placed under it here.
    name = unquote(path)
    below = name.removeprefix(f"{uri}/") if locations.is_remote(uri) else name
    outside = _ELSEWHERE.match(below)
    if outside or ".." in below.split("/"):
        shown = outside[0] if outside else "../"  # the rest may hold keys
        raise InputError(
            f"{uri}: its log names a part at {shown}..., parts must lie inside the table: copy the table with its "
            "files (a shallow clone has none of its own), or open the table they belong to"
        )
    return locations.join(uri, below)

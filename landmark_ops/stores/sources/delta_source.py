"""The data files of a Delta table from outside: which they are, in which order, and that they alone give its rows.

A Delta log can say that the files do not mean what they hold: columns go by other names, rows are deleted, commits lie
elsewhere. Tables that use such a feature, or one not known to be harmless, are refused by its name. A log can also name
files anywhere: parts outside the table are refused.
"""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import unquote

import pyarrow as pa

from landmark_ops.errors import InputError
from landmark_ops.stores import locations
from landmark_ops.stores.faults import fault_of, persist
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
    """One version of a table: its files in the order in which delta-rs reads them, its partition keys, its columns."""

    files: list[str]
    version: int
    keys: list[str]
    fields: list[str]  # all columns, those of the keys included


def delta_source(uri: str) -> DeltaSource:
    """The files of the table's latest version, as of now.

    Raises `InputError` for tables that cannot be opened, whose files alone do not say what their rows are, or that name
    files outside the table.
    """
    from deltalake import DeltaTable
    from deltalake.exceptions import DeltaError

    try:
        table = persist(lambda: DeltaTable(uri, storage_options=locations.delta_options(uri) or None))
        protocol, metadata, version = table.protocol(), table.metadata(), table.version()
        fields = [field.name for field in table.schema().fields]
        paths = pa.table(table.get_add_actions()).column("path").to_pylist()
    except (DeltaError, OSError, ValueError) as error:
        if (fault := fault_of(error)) is not None:
            raise fault.error(f"{uri}: the Delta table cannot be opened") from error
        raise InputError(
            f"{uri}: the Delta table cannot be opened ({one_line(error)}): check that its log is whole"
        ) from error
    mapping = metadata.configuration.get(_MAPPING) or "none"
    used = set(protocol.reader_features or []) - _HARMLESS - {"columnMapping"}
    if mapping != "none":  # also set by the property alone, under reader version 2, which knows no features
        used |= {f"columnMapping ({mapping})"}
    if used:
        raise InputError(
            f"{uri}: uses {', '.join(sorted(used))}, which would need more than its files to read: "
            "write it anew without, e.g. with deltalake.write_deltalake"
        )
    files = [_inside(uri, path) for path in paths]
    return DeltaSource(files, version, list(metadata.partition_columns), fields)


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

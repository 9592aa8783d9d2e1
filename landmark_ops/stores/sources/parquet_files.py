"""Which files of a folder are Parquet data, in which order, and whether they alone make up the folder's rows.

Names say so: what begins with `_` or `.` is no data, but for partition folders such as `_day=1`, as Spark has it.
A file that is Parquet without being called so would be rows lost, and the folder of a table format (Delta, Iceberg,
Hudi) holds files that are no rows any more: both are refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from landmark_ops.errors import InputError
from landmark_ops.stores import locations
from landmark_ops.stores.delta_log import LOG, is_delta

SUFFIXES = (".parquet", ".parq", ".pq")
_MAGIC = b"PAR1"
_SMALLEST = 12  # bytes of a Parquet file: both magics and the length of an empty footer


def data_files(uri: str, listed: Sequence[locations.StoredObject] | None = None) -> list[str]:
    """The Parquet files at an address, in natural order. `listed`: what is there, where that was chosen already.

    Raises `InputError` where there is none, or where files alone do not say which rows there are.
    """
    if listed is None:
        if locations.is_file(uri):
            return [uri]
        listed = locations.list_objects(uri)
    check_no_table(uri, (item.key for item in listed))
    plain = [item for item in listed if not is_hidden(item.key)]
    found = [item.key for item in plain if item.key.lower().endswith(SUFFIXES)]
    if not found:
        raise InputError(f"{uri}: no Parquet files are there (looked for *{', *'.join(SUFFIXES)} at any depth)")
    for item in plain:
        if not item.key.lower().endswith(SUFFIXES) and item.size >= _SMALLEST and _is_parquet(uri, item.key):
            raise InputError(
                f"{uri}: {item.key} is a Parquet file by its content, not by its name, so that its rows would be left "
                f"out: name it *{SUFFIXES[0]}, or move it elsewhere"
            )
    return [locations.join(uri, key) for key in sorted(found, key=natural)]


def check_no_table(uri: str, keys: Iterable[str]) -> None:
    """Refuse a folder that is, holds, or is a partition of, a table whose own metadata says which files are rows."""
    for key in keys:
        *folders, name = key.split("/")
        kind = None
        if LOG in folders:
            kind, at = "a Delta", folders.index(LOG)
        elif ".hoodie" in folders:
            kind, at = "a Hudi", folders.index(".hoodie")
        elif folders[-1:] == ["metadata"] and name.endswith(".metadata.json"):
            kind, at = "an Iceberg", len(folders) - 1
        if kind is not None:
            _refuse(uri, locations.join(uri, *folders[:at]), kind)
    place = uri
    while "=" in (split := locations.parent_and_name(place))[1] and split[0]:
        place = split[0]
        if is_delta(place):
            _refuse(uri, place, "a Delta")


def _refuse(uri: str, table: str, kind: str) -> None:
    remedy = f"read {table} as Delta" if kind == "a Delta" else "write its rows as plain Parquet, or as Delta"
    raise InputError(
        f"{uri}: {table} is {kind} table, in whose folders lie files that are no rows of it any more: {remedy}"
    )


def is_hidden(key: str) -> bool:
    """Whether a part of a path says that it is no data."""
    return any(part.startswith(".") or (part.startswith("_") and "=" not in part) for part in key.split("/"))


def _is_parquet(uri: str, key: str) -> bool:
    return locations.read_bytes(locations.join(uri, key), 0, len(_MAGIC)) == _MAGIC


def natural(key: str) -> list[tuple[list[str | int], str]]:
    """Sorts paths with numbers by value, part.2 before part.10, as Dask orders the files of a folder.

    Unlike Dask, which sorts whole paths, folder by folder: what lies in one is never mixed with what lies in the next.
    Names that differ in leading zeros alone are sorted as text.
    """
    return [_natural_name(name) for name in key.split("/")]


def _natural_name(name: str) -> tuple[list[str | int], str]:
    pieces: list[str | int] = [*re.split(r"([0-9]+)", name)]
    pieces[1::2] = [int(piece) for piece in pieces[1::2]]
    return pieces, name


def partition_keys(files: Sequence[str], uri: str) -> list[str]:
    """The keys of `key=value` folders between `uri` and its files."""
    folders = {part for file in files for part in file.removeprefix(uri).split("/")[:-1]}
    return sorted({folder.partition("=")[0] for folder in folders if "=" in folder})

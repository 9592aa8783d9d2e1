"""Which columns of a set of Parquet files are the rows, what they hold, and what each file's footer says of them.

Files of one folder or table need not agree in their types: a part without a value is typed null, a part with a missing
integer is typed double. The widest type holds all of them. Refuses parts that lack a column, and types that are no
numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from landmark_ops.errors import InputError, Word
from landmark_ops.stores import locations
from landmark_ops.stores.sources.column_types import (
    column_summary,
    element_type,
    is_permuted,
    kind_of,
    list_size,
    remedy_for,
    tensor_shape,
)

FOOTER_THREADS = 16  # footers are small requests: their latency, not their bytes, is waited for


class Footer(NamedTuple):
    """What one file's footer says: rows of each row group, columns, and paths of integers of which some are null."""

    group_rows: list[int]
    schema: pa.Schema
    nulls: frozenset[str]


class Columns(NamedTuple):
    """The columns that are the rows.

    `dtype` holds every value of every file, NaN included where any may be missing. `size` is the length of the vectors
    where the type says so, `shape` their axes where they are tensors.
    """

    names: list[str]
    vector: bool
    dtype: np.dtype[Any]
    size: int | None
    shape: tuple[int, ...] | None


def read_footers(files: Sequence[str], names: Sequence[str] | None) -> list[Footer]:
    """The footers of all files; nulls are counted in the columns `names`, or in all columns of lists."""
    if len(files) == 1:
        return [_read_footer(files[0], names)]
    with ThreadPoolExecutor(min(FOOTER_THREADS, len(files))) as pool:
        return list(pool.map(lambda file: _read_footer(file, names), files))


def _read_footer(uri: str, names: Sequence[str] | None) -> Footer:
    source = locations.open_binary(uri) if locations.is_remote(uri) else uri
    try:
        with pq.ParquetFile(source) as file:
            metadata = file.metadata
            groups = [metadata.row_group(group) for group in range(metadata.num_row_groups)]
            nulls = _integers_with_nulls(file.schema, groups, names)
            return Footer([group.num_rows for group in groups], file.schema_arrow, nulls)
    except (FileNotFoundError, PermissionError):
        raise
    except (pa.ArrowException, OSError) as error:  # OSError is what pyarrow raises for a damaged footer
        raise InputError(f"{uri}: is not a whole Parquet file ({error}): write or copy it again") from error


def _integers_with_nulls(schema: Any, groups: Sequence[Any], names: Sequence[str] | None) -> frozenset[str]:
    """Paths of integer columns that hold a null somewhere, or do not say. Floats have NaN and need no count."""
    found = set()
    for at in range(len(schema.names)):
        column = schema.column(at)
        if column.physical_type not in ("INT32", "INT64", "BOOLEAN") or column.max_definition_level == 0:
            continue
        wanted = "." in column.path if names is None else any(_is_under(column.path, name) for name in names)
        if wanted and any(group.num_rows and _may_hold_null(group.column(at)) for group in groups):
            found.add(column.path)
    return frozenset(found)


def _may_hold_null(chunk: Any) -> bool:
    statistics = chunk.statistics if chunk.is_stats_set else None
    return statistics is None or not statistics.has_null_count or statistics.null_count > 0


def _is_under(path: str, name: str) -> bool:
    return path == name or path.startswith(f"{name}.")


def choose_columns(
    files: Sequence[str],
    footers: Sequence[Footer],
    column: str | None,
    columns: Sequence[str] | None,
    uri: str,
    *,
    keys: Sequence[str] = (),
    fields: Sequence[str] | None = None,
) -> Columns:
    """The columns meant by `column` or `columns`, or the only one of vectors.

    keys
        Columns that are in no file because the files' places say them: partition keys.
    fields
        The columns of the table that the files belong to, where it has a schema of its own: it holds no others, what a
        file lacks of them is null, and keys are never read from files.

    Raises `InputError` listing the columns where one is wrong, and naming the first file whose type does not fit.
    """
    known = _fields(footers)
    if fields is not None:
        known = {name: variants for name, variants in known.items() if name in fields and name not in keys}
    there = "; ".join(column_summary(_told(variants)) for variants in known.values()) or "none"
    chosen = [column] if column is not None else list(columns or [])
    if column is None and columns is None:
        chosen = [name for name, variants in known.items() if kind_of(_told(variants).type) == "vector"]
        if len(chosen) != 1:
            raise InputError(
                f"{uri}: {len(chosen)} columns of lists of numbers are there, exactly 1 is taken without being named: "
                f"set {Word.COLUMN} or {Word.COLUMNS}; columns there: {there}"
            )
    if not chosen:
        raise InputError(f"{uri}: {Word.COLUMNS} is empty: name at least one column; columns there: {there}")
    if len(set(chosen)) != len(chosen):
        raise InputError(f"{uri}: {Word.COLUMNS} names a column twice: {', '.join(chosen)}")
    vector = columns is None
    for name in chosen:
        if name not in known and name in keys:
            raise InputError(
                f"{uri}: {name!r} is a partition key, whose values are in the names of folders or in the log instead "
                f"of the files: write it as a column as well; columns there: {there}"
            )
        if name not in known:
            raise InputError(f"{uri}: holds no column {name!r}; columns there: {there}")
        _check_kind(_told(known[name]).type, name, vector, uri, there)
    for file, footer in zip(files, footers, strict=True):
        _check_file(file, footer, chosen, known, files[0], fields is not None)
    nullable = any(_is_under(path, name) for footer in footers for path in footer.nulls for name in chosen)
    if fields is not None:
        nullable = nullable or any(footer.schema.get_field_index(name) < 0 for footer in footers for name in chosen)
    kinds = [variant.type for name in chosen for variant in known[name]]
    size = next((size for kind in kinds if (size := list_size(kind)) is not None), None)
    shape = next((shape for kind in kinds if (shape := tensor_shape(kind)) is not None), None)
    return Columns(chosen, vector, _wide_enough(kinds, nullable), size, shape)


def _fields(footers: Sequence[Footer]) -> dict[str, list[pa.Field]]:
    """Every column by name, with the fields that differ in type among the files."""
    found: dict[str, dict[pa.DataType, pa.Field]] = {}
    for schema in {footer.schema.remove_metadata(): None for footer in footers}:
        for field in schema:
            found.setdefault(field.name, {}).setdefault(field.type, field)
    return {name: list(variants.values()) for name, variants in found.items()}


def _told(variants: Sequence[pa.Field]) -> pa.Field:
    """The most telling field: the first whose values can be other than null."""
    return next((field for field in variants if element_or_none(field.type) is not None), variants[0])


def element_or_none(kind: pa.DataType) -> np.dtype[Any] | None:
    """The type of a column's numbers; None where it has none, of whatever cause."""
    return element_type(kind) if kind_of(kind) in ("number", "vector") else None


def _check_kind(kind: pa.DataType, name: str, vector: bool, uri: str, there: str) -> None:
    found = kind_of(kind)
    if found == ("vector" if vector else "number") or found == "nothing":
        return
    needed = "needed is a list of numbers" if vector else "needed are numbers"
    hint = remedy_for(kind)
    if found == "number":
        hint = f"name numeric columns with {Word.COLUMNS}"
    if found == "vector":
        hint = f"name a column of lists with {Word.COLUMN}"
    raise InputError(f"{uri}: column {name!r} is {kind}, {needed}: {hint}; there: {there}")


def _check_file(
    file: str,
    footer: Footer,
    names: Sequence[str],
    fields: dict[str, list[pa.Field]],
    first_file: str,
    absent_is_null: bool,
) -> None:
    """Refuse a file that lacks a column, has it twice, or has something else in it."""
    for name in names:
        count = len(footer.schema.get_all_field_indices(name))
        if count > 1:
            raise InputError(f"{file}: holds {count} columns {name!r}: rename all but one")
        if count == 0:
            if absent_is_null:
                continue
            raise InputError(
                f"{file}: column {name!r} is missing: all files must have the same columns; write it anew, or take "
                "the file out of the folder"
            )
        found, expected = footer.schema.field(name).type, _told(fields[name]).type
        sizes = list_size(found), list_size(expected)
        if kind_of(found) == "nothing":
            continue
        if is_permuted(found):
            raise InputError(f"{file}: column {name!r} is {found}, whose axes are permuted: store it in C order")
        same = kind_of(found) == kind_of(expected) and tensor_shape(found) == tensor_shape(expected)
        if not same or (None not in sizes and sizes[0] != sizes[1]):
            raise InputError(
                f"{file}: column {name!r} is {found}, in other files (such as {first_file}) it is {expected}: "
                "all files must have the same columns; write them anew"
            )


def _wide_enough(kinds: Sequence[pa.DataType], nullable: bool) -> np.dtype[Any]:
    """A type for all values: that of all kinds together, floating where one may be missing."""
    found = [element for kind in kinds if (element := element_type(kind)) is not None]
    dtype = np.result_type(*found) if found else np.dtype(np.float64)
    if nullable and dtype.kind != "f":
        dtype = np.result_type(dtype, np.float32)
    return dtype

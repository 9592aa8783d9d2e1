"""Parquet files, folders of them and Delta tables as rows.

The rows are the values of one column of equally long lists of numbers, or of several numeric columns side by side. Rows
are numbered through the files in sorted order of their paths (Delta: the active files of the table's version). All
footers are read once, when the source is opened; what a worker needs of them, where each row group begins, travels in
the pickle. Refuses ragged lists, missing lists, and missing integers, which no number could stand for.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple
from urllib.parse import unquote

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from landmark_ops.errors import InputError, RunError
from landmark_ops.stores import locations
from landmark_ops.stores.arrow_blocks import column_summary, element_type, is_list, is_number, list_block, numbers_block
from landmark_ops.stores.rows import Rows, check_range, check_shape_and_dtype

SUFFIXES = (".parquet", ".parq", ".pq")
FOOTER_THREADS = 16  # footers are small requests: their latency, not their bytes, is waited for
BATCH_ROWS = 16_384  # decoded at a time where only part of a row group is wanted


class Footer(NamedTuple):
    """What one file's footer says: rows of each row group, and the columns."""

    group_rows: list[int]
    schema: pa.Schema


class ParquetRows(Rows):
    """Rows from the columns of one or more Parquet files.

    Parameters
    ----------
    uri
        A file or a folder; partition folders are descended, their keys are not columns.
    column, columns
        Either the name of one column of lists of numbers, or names of numeric columns. With neither, the only
        column of lists is taken.
    files
        Addresses of the data files, where something else (a Delta log) lists them.
    version
        What identifies the table's state beside the files.
    """

    def __init__(
        self,
        uri: str | os.PathLike[str],
        *,
        column: str | None = None,
        columns: Sequence[str] | None = None,
        files: Sequence[str] | None = None,
        version: str = "",
    ) -> None:
        self.uri = locations.normalise(uri)
        if column is not None and columns is not None:
            raise InputError(f"{self.uri}: both source.column and source.columns are given: give one of them")
        self._version = version
        self._metadata: dict[int, Any] = {}  # footers of the files read last, by position
        with locations.opening(self.uri):
            self._files = list(files) if files is not None else data_files(self.uri)
            footers = _read_footers(self._files)
        schema = footers[0].schema
        self._names = _chosen_columns(schema, column, columns, self.uri)
        self._vector = is_list(schema.field(self._names[0]).type)
        for file, footer in zip(self._files, footers, strict=True):
            _check_same_types(file, footer.schema, self._files[0], schema, self._names)
        sizes = [(at, rows) for at, footer in enumerate(footers) for rows in footer.group_rows]
        self._file_of = np.array([at for at, _ in sizes], np.int32)
        self._group_of = np.array([i for footer in footers for i in range(len(footer.group_rows))], np.int32)
        self._starts = np.concatenate([[0], np.cumsum([rows for _, rows in sizes])]).astype(np.int64)
        self.n = int(self._starts[-1])
        types = [element_type(schema.field(name).type) for name in self._names]
        self.dtype = np.result_type(*types)
        self.d = self._list_size(schema) if self._vector else len(self._names)
        check_shape_and_dtype((self.n, self.d), self.dtype, self.uri)
        self.row_shape = (self.d,)
        weight: Counter[int] = Counter()
        for _, rows in sizes:
            weight[rows] += rows
        self.chunk_rows = weight.most_common(1)[0][0]

    def __getstate__(self) -> dict[str, Any]:
        """Everything but cached footers: pyarrow's do not need to travel."""
        return self.__dict__ | {"_metadata": {}}

    def _list_size(self, schema: pa.Schema) -> int:
        """Numbers per row: of the type where it is fixed, else of the first row."""
        kind = schema.field(self._names[0]).type
        if pa.types.is_fixed_size_list(kind):
            return int(kind.list_size)
        group = int(np.argmax(np.diff(self._starts) > 0)) if self.n else -1
        if group < 0:
            return 1  # no rows at all, which the caller reports
        try:
            first = next(self._batches(group, 1)).column(0)[0]
        except (StopIteration, pa.ArrowException, OSError) as error:
            file = self._files[self._file_of[group]]
            raise InputError(f"{file}: its first row cannot be read ({error}): write or copy the file again") from error
        if not first.is_valid:
            raise InputError(f"{self.uri}: {self._names[0]}, row 0: is null, expected a list of numbers")
        return len(first)

    def read(self, start: int, stop: int) -> NDArray[Any]:
        """Rows start..stop, from the row groups they lie in; a read-only view of the decoded group where possible.

        Raises `InputError` naming the first ragged or missing row, `RunError` naming the file that cannot be decoded.
        """
        check_range(start, stop, self.n, self.uri)
        out: NDArray[Any] | None = None
        at = start
        while at < stop:
            group = int(np.searchsorted(self._starts, at, side="right")) - 1
            first, after = int(self._starts[group]), int(self._starts[group + 1])
            end = min(stop, after)
            part = self._read_group(group, at - first, end - first)
            if at == start and end == stop:
                return part
            if out is None:
                out = np.empty((stop - start, self.d), self.dtype)
            out[at - start : end - start] = part
            at = end
        return np.empty((0, self.d), self.dtype) if out is None else out

    def take(self, indices: NDArray[np.int64]) -> NDArray[Any]:
        """The rows at `indices`, each row group read once, however uneven they are."""
        out = np.empty((len(indices), self.d), self.dtype)
        groups = np.searchsorted(self._starts, indices, side="right") - 1
        for group in np.unique(groups):
            members = np.flatnonzero(groups == group)
            low, high = int(indices[members].min()), int(indices[members].max()) + 1
            out[members] = self.read(low, high)[indices[members] - low]
        return out

    def _read_group(self, group: int, low: int, high: int) -> NDArray[Any]:
        file = self._files[self._file_of[group]]
        rows = int(self._starts[group + 1] - self._starts[group])
        first_row = int(self._starts[group])
        try:
            if high - low == rows:
                blocks = self._open_file(group).read_row_group(
                    int(self._group_of[group]), columns=self._names, use_threads=False
                )
                if blocks.num_rows != rows:
                    raise ValueError(f"it holds {blocks.num_rows} rows, its footer said {rows}")
                tables = [(first_row, blocks)]
            else:
                tables = list(self._overlapping(group, low, high))
        except Exception as error:  # pyarrow, s3fs and OSError alike
            raise RunError(
                f"{file}: row group {self._group_of[group]} cannot be read ({type(error).__name__}: {error}): "
                "restore the file, or run again if the table was rewritten"
            ) from error
        parts = [part for at, table in tables for part in self._to_numbers(table, at)]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _overlapping(self, group: int, low: int, high: int) -> Iterator[tuple[int, pa.RecordBatch]]:
        """Decode a row group batch by batch up to row `high`, keeping what lies in low..high."""
        at = 0
        for batch in self._batches(group, BATCH_ROWS):
            end = at + batch.num_rows
            if end > low:
                begin = max(low - at, 0)
                yield (
                    int(self._starts[group]) + at + begin,
                    batch.slice(begin, min(high, end) - at - begin),
                )
            at = end
            if at >= high:
                return
        raise ValueError(f"it holds {at} rows, its footer said more than {high - 1}")

    def _batches(self, group: int, rows: int) -> Iterator[pa.RecordBatch]:
        file = self._open_file(group)
        return file.iter_batches(rows, [int(self._group_of[group])], self._names, use_threads=False)

    def _open_file(self, group: int) -> pq.ParquetFile:
        at = int(self._file_of[group])
        uri = self._files[at]
        source = locations.open_binary(uri) if locations.is_remote(uri) else uri
        opened = pq.ParquetFile(source, metadata=self._metadata.get(at), pre_buffer=locations.is_remote(uri))
        if at not in self._metadata:
            self._metadata = {**dict(list(self._metadata.items())[-63:]), at: opened.metadata}
        return opened

    def _to_numbers(self, table: pa.Table | pa.RecordBatch, first_row: int) -> list[NDArray[Any]]:
        where = f"{self.uri}: "
        if self._vector:
            parts = []
            for chunk in _chunks(table.column(self._names[0])):
                parts.append(list_block(chunk, self.d, first_row, where + self._names[0]))
                first_row += len(chunk)
            return parts
        out = np.empty((table.num_rows, self.d), self.dtype)
        for at, name in enumerate(self._names):
            row = 0
            for chunk in _chunks(table.column(name)):
                out[row : row + len(chunk), at] = numbers_block(chunk, first_row + row, where + name)
                row += len(chunk)
        return [out]

    def fingerprint(self) -> str:
        """sha256 of the columns and of the files: of their listing, or for Delta of the version and its file names."""
        described = repr((self._names, self.n, self.d, self.dtype.str, self._version))
        if self._version:  # Delta files never change: their names say all
            return locations.digest(described, [locations.StoredObject(file, 0, "") for file in self._files])
        with locations.opening(self.uri):
            listed = [locations.stat(file)._replace(key=file.removeprefix(self.uri)) for file in self._files]
        return locations.digest(described, listed)


def open_delta(
    uri: str | os.PathLike[str], *, column: str | None = None, columns: Sequence[str] | None = None
) -> ParquetRows:
    """The latest version of a Delta table, as of now: later commits do not change what is read.

    Raises `InputError` for tables whose files alone do not say what their rows are (deletion vectors, column mapping).
    """
    from deltalake import DeltaTable
    from deltalake.exceptions import DeltaError

    address = locations.normalise(uri)
    try:
        table = DeltaTable(address, storage_options=locations.delta_options(address) or None)
    except (DeltaError, OSError) as error:
        raise InputError(f"{address}: the Delta table cannot be opened ({error})") from error
    unsupported = {"deletionVectors", "columnMapping"} & set(table.protocol().reader_features or [])
    if unsupported:
        raise InputError(
            f"{address}: uses {', '.join(sorted(unsupported))}, which would need more than its files to read: "
            "write it anew without, e.g. with deltalake.write_deltalake"
        )
    # file_uris() percent-encodes the table's own address too, so the files are placed under it here.
    paths = pa.table(table.get_add_actions()).column("path").to_pylist()
    files = sorted(p if "://" in p else locations.join(address, unquote(p)) for p in paths)
    if not files:
        raise InputError(f"{address}: version {table.version()} of the Delta table holds no files: it has 0 rows")
    return ParquetRows(address, column=column, columns=columns, files=files, version=f"delta {table.version()}")


def data_files(uri: str) -> list[str]:
    """The Parquet files at an address, in sorted order; names with a leading `_` or `.` are not data."""
    if locations.is_file(uri):
        return [uri]
    found = [
        item.key
        for item in locations.list_objects(uri)
        if item.key.lower().endswith(SUFFIXES) and not any(part.startswith(("_", ".")) for part in item.key.split("/"))
    ]
    if not found:
        raise InputError(f"{uri}: no Parquet files are there (looked for *{', *'.join(SUFFIXES)} at any depth)")
    return [locations.join(uri, key) for key in found]


def _read_footers(files: Sequence[str]) -> list[Footer]:
    if len(files) == 1:
        return [_read_footer(files[0])]
    with ThreadPoolExecutor(min(FOOTER_THREADS, len(files))) as pool:
        return list(pool.map(_read_footer, files))


def _read_footer(uri: str) -> Footer:
    source = locations.open_binary(uri) if locations.is_remote(uri) else uri
    try:
        with pq.ParquetFile(source) as file:
            metadata = file.metadata
            rows = [metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)]
            return Footer(rows, file.schema_arrow)
    except (FileNotFoundError, PermissionError):
        raise
    except (pa.ArrowException, OSError) as error:  # OSError is what pyarrow raises for a damaged footer
        raise InputError(f"{uri}: is not a whole Parquet file ({error}): write or copy it again") from error


def _chosen_columns(schema: pa.Schema, column: str | None, columns: Sequence[str] | None, uri: str) -> list[str]:
    there = "; ".join(column_summary(field) for field in schema) or "none"
    if column is None and columns is None:
        lists = [field.name for field in schema if is_list(field.type)]
        if len(lists) != 1:
            raise InputError(
                f"{uri}: {len(lists)} columns of lists of numbers are there, exactly 1 is taken without being named: "
                f"set source.column or source.columns; columns there: {there}"
            )
        return lists
    chosen = [column] if column is not None else list(columns or [])
    if not chosen:
        raise InputError(f"{uri}: source.columns is empty: name at least one column; columns there: {there}")
    for name in chosen:
        if schema.get_field_index(name) < 0:
            raise InputError(f"{uri}: holds no column {name!r}; columns there: {there}")
        kind = schema.field(name).type
        if column is not None and not is_list(kind):
            hint = "name numeric columns with source.columns: [...]" if is_number(kind) else "choose another"
            raise InputError(f"{uri}: column {name!r} is {kind}, needed is a list of numbers: {hint}; there: {there}")
        if column is None and (is_list(kind) or not is_number(kind)):
            hint = "name a column of lists with source.column" if is_list(kind) else "choose another"
            raise InputError(f"{uri}: column {name!r} is {kind}, needed are numbers: {hint}; there: {there}")
    if len(set(chosen)) != len(chosen):
        raise InputError(f"{uri}: source.columns names a column twice: {', '.join(chosen)}")
    return chosen


def _check_same_types(file: str, schema: pa.Schema, first_file: str, first: pa.Schema, names: Sequence[str]) -> None:
    for name in names:
        found = schema.field(name).type if schema.get_field_index(name) >= 0 else None
        expected = first.field(name).type
        if found is None or _kind(found) != _kind(expected):
            raise InputError(
                f"{file}: column {name!r} is {found or 'missing'}, in {first_file} it is {expected}: "
                "all files must have the same columns; write them anew"
            )


def _kind(kind: pa.DataType) -> tuple[str, int]:
    """A type without the name its list items go by, which writers choose differently."""
    size = kind.list_size if pa.types.is_fixed_size_list(kind) else -1
    return (f"list of {kind.value_type}" if is_list(kind) else str(kind)), size


def _chunks(column: pa.ChunkedArray | pa.Array) -> list[pa.Array]:
    return column.chunks if isinstance(column, pa.ChunkedArray) else [column]

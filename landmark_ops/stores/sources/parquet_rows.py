"""Parquet files, folders of them and Delta tables as rows.

The rows are the values of one column of equally long vectors, or of several numeric columns side by side. Rows are
numbered through the files in natural order of their paths (Delta: the active files of the table's version, in the order
of delta-rs). All footers are read once, when the source is opened; what a worker needs of them, where each row group
begins, travels in the pickle. Refuses ragged lists; what is missing reads as NaN.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from landmark_ops.errors import InputError, RunError, Word
from landmark_ops.stores import locations
from landmark_ops.stores.sources.arrow_blocks import numbers_block, vector_block, vector_length
from landmark_ops.stores.sources.delta_source import DeltaSource
from landmark_ops.stores.sources.parquet_columns import Columns, choose_columns, read_footers
from landmark_ops.stores.sources.parquet_files import data_files, partition_keys
from landmark_ops.stores.sources.rows import Rows, check_range, check_shape_and_dtype

FIRST_ROWS = 64  # looked at together while the first vector is sought, which mostly is row 0
BATCH_ROWS = 16_384  # decoded at a time where only part of a row group is wanted


class ParquetRows(Rows):
    """Rows from the columns of one or more Parquet files.

    Parameters
    ----------
    uri
        A file or a folder; partition folders are descended, their keys are not columns.
    column, columns
        Either the name of one column of lists of numbers, or names of numeric columns. With neither, the only
        column of lists is taken.
    table
        What a Delta log says of the files that are rows, and of their columns.
    """

    def __init__(
        self,
        uri: str | os.PathLike[str],
        *,
        column: str | None = None,
        columns: Sequence[str] | None = None,
        table: DeltaSource | None = None,
    ) -> None:
        self.uri = locations.normalise(uri)
        if column is not None and columns is not None:
            raise InputError(f"{self.uri}: both {Word.COLUMN} and {Word.COLUMNS} are given: give one of them")
        self.version = None if table is None else table.version
        self._metadata: dict[int, Any] = {}  # footers of the files read last, by position
        with locations.opening(self.uri):
            self._files = data_files(self.uri) if table is None else table.files
            footers = read_footers(self._files, columns if column is None else [column])
        self._columns: Columns = choose_columns(
            self._files,
            footers,
            column,
            columns,
            self.uri,
            keys=partition_keys(self._files, self.uri) if table is None else table.keys,
            fields=None if table is None else table.fields,
        )
        self._names = self._columns.names
        self._vector = self._columns.vector
        self.dtype = self._columns.dtype
        sizes = [(at, rows) for at, footer in enumerate(footers) for rows in footer.group_rows]
        self._file_of = np.array([at for at, _ in sizes], np.int32)
        self._group_of = np.array([i for footer in footers for i in range(len(footer.group_rows))], np.int32)
        self._starts = np.concatenate([[0], np.cumsum([rows for _, rows in sizes])]).astype(np.int64)
        self.n = int(self._starts[-1])
        self.d = self._vector_size() if self._vector else len(self._names)
        check_shape_and_dtype((self.n, self.d), self.dtype, self.uri)
        self.row_shape = self._columns.shape or (self.d,)
        weight: Counter[int] = Counter()
        for _, rows in sizes:
            weight[rows] += rows
        self.chunk_rows = weight.most_common(1)[0][0] if weight else 1

    def __getstate__(self) -> dict[str, Any]:
        """Everything but cached footers: pyarrow's do not need to travel."""
        return self.__dict__ | {"_metadata": {}}

    @property
    def named(self) -> str:
        """The address, and that nulls read as NaN."""
        return f"{self.uri} (null, {'or an empty vector, ' if self._vector else ''}reads as NaN)"

    @property
    def places(self) -> list[str]:
        """The address; of a Delta table the files of its version, beside which later versions are written."""
        return [self.uri] if self.version is None else self._files

    def _vector_size(self) -> int:
        """Numbers per row: of the type where it is fixed, else of the first vector that is there."""
        if self._columns.size is not None:
            return self._columns.size
        for group in np.flatnonzero(np.diff(self._starts)):
            try:
                for batch in self._batches(int(group), FIRST_ROWS):
                    if self._names[0] in batch.schema.names and (size := vector_length(batch.column(self._names[0]))):
                        return size
            except (pa.ArrowException, OSError) as error:
                file = self._files[self._file_of[group]]
                raise InputError(
                    f"{file}: its first row cannot be read ({error}): write or copy the file again"
                ) from error
        if self.n:
            raise InputError(f"{self.uri}: {self._names[0]}: all {self.n} rows are null or empty, none is a vector")
        return 1  # no rows at all, which the caller reports

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
        if self._vector:
            parts = []
            if self._names[0] not in table.schema.names:
                return [np.full((table.num_rows, self.d), np.nan, self.dtype)]
            for chunk in _chunks(table, self._names[0]):
                where = f"{self.uri}: {self._names[0]}"
                parts.append(vector_block(chunk, self.d, self.dtype, first_row, where))
                first_row += len(chunk)
            return parts
        out = np.empty((table.num_rows, self.d), self.dtype)
        there = set(table.schema.names)
        for at, name in enumerate(self._names):
            if name not in there:  # null, as the table's format has it
                out[:, at] = np.nan
                continue
            row = 0
            for chunk in _chunks(table, name):
                where = f"{self.uri}: {name}"
                out[row : row + len(chunk), at] = numbers_block(chunk, self.dtype, first_row + row, where, self.rounds)
                row += len(chunk)
        return [out]

    def fingerprint(self) -> str:
        """sha256 of the columns and of the files: of their listing, or for Delta of the version and its file names."""
        version = "" if self.version is None else f"delta {self.version}"
        described = repr((self._names, self.n, self.d, self.dtype.str, version))
        if self._files != sorted(self._files):  # the listing says which files there are, not in which order
            described += repr([file.removeprefix(self.uri) for file in self._files])
        if version:  # Delta files never change: their names say all
            return locations.digest(described, [locations.StoredObject(file, 0, "") for file in self._files])
        with locations.opening(self.uri):
            listed = [locations.stat(file)._replace(key=file.removeprefix(self.uri)) for file in self._files]
        return locations.digest(described, listed)


def _chunks(table: pa.Table | pa.RecordBatch, name: str) -> list[pa.Array]:
    column = table.column(name)
    return column.chunks if isinstance(column, pa.ChunkedArray) else [column]

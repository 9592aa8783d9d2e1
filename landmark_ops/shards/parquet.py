"""Parquet files, and Delta tables, with a column of encoded images as shards.

A shard is a run of whole row groups of one file (row_groups.py); its id is the file's path below the source and the
first row, which never change as files are never appended to. Rows are decoded a
few at a time, so memory does not depend on the size of a row group. Which columns are read is said in columns.py. A
row without bytes whose struct has a path is read from there, below one folder and nowhere else.

member is the row's number within its file, or the value of the id column; image_id is `<file>/<row>`, or that value
alone, which then must be unique in the source. A Delta table is read as of now. Compacting it moves rows to new files:
give an id column where that may happen between runs, so that rows can be known again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from landmark_ops.errors import RunError
from landmark_ops.shards.beside import Found, read_beside
from landmark_ops.shards.boxes import as_boxes, value_at
from landmark_ops.shards.columns import Columns, column_of
from landmark_ops.shards.member import BAD_BOXES, DUPLICATE, EMPTY, UNREADABLE, Member
from landmark_ops.shards.parquet_file import open_parquet
from landmark_ops.shards.repeats import IdentifiedShard
from landmark_ops.stores.faults import storage_failed

BATCH_ROWS = 16


@dataclass(frozen=True, kw_only=True)
class ParquetShard(IdentifiedShard):
    """Some row groups of one file."""

    uri: str
    file: str
    group_rows: tuple[tuple[int, int], ...]
    columns: Columns
    paths: str

    @property
    def reads(self) -> dict[str, Any]:
        """The columns, how boxes are held, and where paths lead from if there are any."""
        columns = self.columns._asdict() | {"form": self.columns.form._asdict()}
        return columns | {"root": self.paths if self.columns.paths else None}

    def only_grew(self, recorded: str) -> bool:
        """Never: files are not appended to, so another version is another file."""
        return False

    def members(self, skip: Container[str] = (), passed: Counter[str] | None = None) -> Iterator[Member]:
        """The rows in order. A row group that cannot be decoded becomes failures, one per row not yet read."""
        row = self.first_row
        with open_parquet(self.uri) as file:
            for group, count in self.group_rows:
                done = 0
                batches = self._batches(file, group)
                while done < count:
                    try:
                        batch = next(batches)
                    except (pa.ArrowException, OSError, StopIteration) as error:
                        self._raise_failed(error)
                        detail = f"row group {group} cannot be decoded ({type(error).__name__})"
                        for at in range(row + done, row + count):
                            if str(at) not in skip:
                                yield self.failed(str(at), UNREADABLE, detail, f"{self.file}/{at}")
                        break
                    yield from self._rows(batch, row + done, skip)
                    done += batch.num_rows
                row += count

    @property
    def has_ids(self) -> bool:
        """Whether a column of ids was named."""
        return self.columns.ids is not None

    def ids(self) -> Iterator[str | None]:
        """The ids of the rows, None for a row without; the rest of the row is not read."""
        assert self.columns.ids is not None
        with open_parquet(self.uri) as file:
            for group, count in self.group_rows:
                told = 0
                try:
                    for batch in file.iter_batches(1 << 16, [group], [".".join(self.columns.ids)], use_threads=False):
                        for value in column_of(batch, self.columns.ids).to_pylist():
                            told += 1
                            yield None if value is None else str(value)
                except (pa.ArrowException, OSError) as error:  # the rows become failures when they are read
                    self._raise_failed(error)
                    yield from [None] * (count - told)

    def _raise_failed(self, error: Exception) -> None:
        """RunError where storage failed: rows that may be read another time must not go on record as bad."""
        if storage_failed(error):
            raise RunError(f"{self.uri}: cannot be read now ({error}): run again") from error

    def _batches(self, file: pq.ParquetFile, group: int) -> Iterator[pa.RecordBatch]:
        return file.iter_batches(BATCH_ROWS, [group], self.columns.names, use_threads=False)

    def _rows(self, batch: pa.RecordBatch, first: int, skip: Container[str]) -> Iterator[Member]:
        columns = self.columns
        images = column_of(batch, columns.images)
        paths = column_of(batch, columns.paths) if columns.paths else None
        ids = column_of(batch, columns.ids) if columns.ids else None
        boxes = column_of(batch, columns.boxes[:1]) if columns.boxes else None
        for at in range(batch.num_rows):
            row = first + at
            given = ids[at].as_py() if ids is not None and row not in self.repeated else None
            name = str(row) if given is None else str(given)
            image_id = f"{self.file}/{name}" if given is None else name
            if name in skip:
                continue
            if row in self.repeated:
                yield self.failed(name, DUPLICATE, "another row has this id and counts", image_id)
                continue
            data, failure = self._data(images[at].as_py(), None if paths is None else paths[at].as_py())
            if failure is not None:
                yield self.failed(name, *failure, image_id)
                continue
            try:
                own = None if boxes is None else as_boxes(self._boxes(boxes[at]), columns.form)
            except (ValueError, TypeError) as error:
                yield self.failed(name, BAD_BOXES, str(error), image_id)
                continue
            yield Member(self.id, name, data, boxes=own, image_id=image_id)

    def _data(self, data: bytes | None, path: str | None) -> Found:
        """The bytes of a row, its own or those at its path; or reason and detail of what is wrong."""
        if data is None and path:
            return read_beside(self.paths, path, self.limits)
        if data is None:
            return None, (EMPTY, "the image is null")
        return data, self.size_failure(len(data))

    def _boxes(self, cell: pa.Scalar) -> Any:
        return value_at(cell.as_py(), (self.columns.boxes or ())[1:])

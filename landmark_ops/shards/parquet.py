"""Parquet files, and Delta tables, with a column of encoded images as shards.

A shard is a run of whole row groups of one file, at least `ROWS_PER_SHARD` rows where the file has them; its id is the
file's path below the source and the first row, which never change as files are never appended to. Rows are decoded a
few at a time, so memory does not depend on the size of a row group. The image column holds bytes, or structs with a
field `bytes` as Hugging Face data sets do.

member is the row's number within its file, or the value of the id column; image_id is `<file>/<row>`, or that value
alone, which then must be unique in the source. A Delta table is read as of now. Compacting it moves rows to new files:
give an id column where that may happen between runs, so that rows can be known again.
"""

from __future__ import annotations

from collections.abc import Container, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from landmark_ops.errors import InputError, RunError
from landmark_ops.shards.member import BAD_BOXES, EMPTY, UNREADABLE, Limits, Member, Shard, as_boxes, readable
from landmark_ops.stores import locations

SUFFIXES = (".parquet", ".parq", ".pq")
ROWS_PER_SHARD = 1024
BATCH_ROWS = 16
BUFFER_BYTES = 8 * 2**20
_FOOTER_THREADS = 16


class Columns(NamedTuple):
    """Which columns to read. images: the path to the bytes; the others None where not wanted."""

    images: str
    ids: str | None
    boxes: str | None
    box_layout: str


@dataclass(frozen=True, kw_only=True)
class ParquetShard(Shard):
    """Some row groups of one file."""

    uri: str
    file: str
    first_row: int
    group_rows: tuple[tuple[int, int], ...]
    columns: Columns

    def members(self, skip: Container[str] = ()) -> Iterator[Member]:
        """The rows in order. A row group that cannot be decoded becomes failures, one per row not yet read."""
        row = self.first_row
        with _opened(self.uri) as file:
            for group, count in self.group_rows:
                done = 0
                try:
                    for batch in self._batches(file, group):
                        yield from self._rows(batch, row + done, skip)
                        done += batch.num_rows
                except (pa.ArrowException, OSError) as error:  # a source that cannot be read has raised RunError
                    detail = f"row group {group} cannot be decoded ({type(error).__name__})"
                    for at in range(row + done, row + count):
                        if str(at) not in skip:
                            yield self.failed(str(at), UNREADABLE, detail, f"{self.file}/{at}")
                row += count

    def _batches(self, file: pq.ParquetFile, group: int) -> Iterator[pa.RecordBatch]:
        names = [name for name in (self.columns.images, self.columns.ids, self.columns.boxes) if name]
        return file.iter_batches(BATCH_ROWS, [group], names, use_threads=False)

    def _rows(self, batch: pa.RecordBatch, first: int, skip: Container[str]) -> Iterator[Member]:
        outer, _, inner = self.columns.images.partition(".")
        column = batch.column(batch.schema.get_field_index(outer))
        images = pc.struct_field(column, inner) if inner else column
        ids = batch.column(batch.schema.get_field_index(self.columns.ids)) if self.columns.ids else None
        boxes = batch.column(batch.schema.get_field_index(self.columns.boxes)) if self.columns.boxes else None
        for at in range(batch.num_rows):
            given = ids[at].as_py() if ids is not None else None
            name = str(first + at) if given is None else str(given)
            image_id = f"{self.file}/{name}" if given is None else name
            if name not in skip:
                yield self._member(name, image_id, images[at], None if boxes is None else boxes[at])

    def _member(self, name: str, image_id: str, image: pa.Scalar, boxes: pa.Scalar | None) -> Member:
        data = image.as_py()
        if data is None:
            return self.failed(name, EMPTY, "the image is null", image_id)
        if bad := self.size_failure(len(data)):
            return self.failed(name, *bad, image_id)
        if boxes is None:
            return Member(self.id, name, data, image_id=image_id)
        try:
            return Member(
                self.id, name, data, boxes=as_boxes(boxes.as_py(), self.columns.box_layout), image_id=image_id
            )
        except ValueError as error:
            return self.failed(name, BAD_BOXES, str(error), image_id)


def parquet_shards(
    root: str, files: list[str], column: str | None, ids: str | None, boxes: str | None, layout: str, limits: Limits
) -> list[ParquetShard]:
    """The shards of Parquet files at addresses `files` below `root`. Raises `InputError` listing columns."""
    with ThreadPoolExecutor(_FOOTER_THREADS) as pool:
        footers = list(pool.map(_footer, files))
    shards: list[ParquetShard] = []
    for uri, (schema, groups, version) in zip(files, footers, strict=True):
        columns = _columns(uri, schema, column, ids, boxes, layout)
        file = readable(uri.removeprefix(root).strip("/") or uri.rpartition("/")[2])
        for first, run in _runs(groups):
            shards.append(
                ParquetShard(
                    id=f"{file}#{first}",
                    size=sum(groups[group][1] for group, _ in run),
                    version=version,
                    count=sum(rows for _, rows in run),
                    limits=limits,
                    uri=uri,
                    file=file,
                    first_row=first,
                    group_rows=tuple(run),
                    columns=columns,
                )
            )
    return shards


def _footer(uri: str) -> tuple[pa.Schema, list[tuple[int, int]], str]:
    """Schema, (rows, bytes) of each row group, version."""
    with locations.opening(uri):
        item = locations.stat(uri)
    try:
        with _opened(uri) as file:
            found = file.metadata
            groups = [found.row_group(at) for at in range(found.num_row_groups)]
            return (
                file.schema_arrow,
                [(group.num_rows, group.total_byte_size) for group in groups],
                f"{item.size}:{item.version}",
            )
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{uri}: is not a whole Parquet file ({error}): write or copy it again") from error


def _runs(groups: list[tuple[int, int]]) -> Iterator[tuple[int, list[tuple[int, int]]]]:
    """First row and (group, rows) of each run of row groups that makes a shard."""
    row = 0
    run: list[tuple[int, int]] = []
    for group, (rows, _) in enumerate(groups):
        run.append((group, rows))
        held = sum(count for _, count in run)
        if held >= ROWS_PER_SHARD:
            yield row, run
            row, run = row + held, []
    if run or not groups:
        yield row, run


def _columns(
    uri: str, schema: pa.Schema, images: str | None, ids: str | None, boxes: str | None, layout: str
) -> Columns:
    there = "; ".join(f"{field.name} ({field.type})" for field in schema) or "none"
    candidates = [path for field in schema if (path := _bytes_path(field))]
    if images is None:
        if len(candidates) != 1:
            raise InputError(
                f"{uri}: {len(candidates)} columns could hold encoded images, exactly 1 is taken without being named: "
                f"set source.column; columns there: {there}"
            )
        path = candidates[0]
    else:
        name = images.partition(".")[0]
        if schema.get_field_index(name) < 0:
            raise InputError(f"{uri}: holds no column {name!r}; columns there: {there}")
        found = _bytes_path(schema.field(name))
        if found is None or images not in (name, found):
            raise InputError(
                f"{uri}: column {images!r} is {schema.field(name).type}, needed are encoded images as binary: "
                f"choose another; columns there: {there}"
            )
        path = found
    if ids is not None:
        kind = _type_of(uri, schema, ids, there)
        if not (pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_integer(kind)):
            raise InputError(f"{uri}: column {ids!r} is {kind}, needed are strings or integers as ids; there: {there}")
    if boxes is not None:
        kind = _type_of(uri, schema, boxes, there)
        if not _holds_boxes(kind):
            raise InputError(
                f"{uri}: column {boxes!r} is {kind}, needed are boxes: list<list<number>> or list<struct of 4 "
                f"numbers>, or list<number> of length 4 for one box per image; columns there: {there}"
            )
    return Columns(path, ids, boxes, layout)


def _type_of(uri: str, schema: pa.Schema, name: str, there: str) -> pa.DataType:
    if schema.get_field_index(name) < 0:
        raise InputError(f"{uri}: holds no column {name!r}; columns there: {there}")
    return schema.field(name).type


def _bytes_path(field: pa.Field) -> str | None:
    kind = field.type
    if pa.types.is_struct(kind) and kind.get_field_index("bytes") >= 0:
        inner = _bytes_path(kind.field(kind.get_field_index("bytes")))
        return f"{field.name}.bytes" if inner else None
    binary = pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind)
    return field.name if binary else None


def _holds_boxes(kind: pa.DataType) -> bool:
    if not _is_list(kind):
        return False
    inner = kind.value_type
    if pa.types.is_struct(inner):
        return inner.num_fields == 4 and all(_is_number(inner.field(at).type) for at in range(4))
    if _is_list(inner):
        return _is_number(inner.value_type) and _may_be_four(inner)
    return _is_number(inner) and _may_be_four(kind)


def _may_be_four(kind: pa.DataType) -> bool:
    return not pa.types.is_fixed_size_list(kind) or kind.list_size == 4


def _is_list(kind: pa.DataType) -> bool:
    return pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)


def _is_number(kind: pa.DataType) -> bool:
    return pa.types.is_integer(kind) or pa.types.is_floating(kind)


def _opened(uri: str) -> pq.ParquetFile:
    source: Any = uri
    if locations.is_remote(uri):
        source = pa.PythonFile(_Remote(uri), mode="r")
    elif not locations.is_file(uri):
        raise RunError(f"{uri}: has gone since the source was listed: run again")
    return pq.ParquetFile(source, buffer_size=BUFFER_BYTES, pre_buffer=False)


class _Remote:
    """A remote file whose read errors are `RunError`, so that a failing network is not taken for a damaged file."""

    def __init__(self, uri: str) -> None:
        self._uri = uri
        self._file = locations.open_binary(uri)
        self.closed = False

    def read(self, size: int = -1) -> bytes:
        try:
            return self._file.read(size)
        except Exception as error:  # S3 clients raise anything
            raise RunError(f"{self._uri}: cannot be read now ({error}): run again") from error

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def close(self) -> None:
        self._file.close()
        self.closed = True

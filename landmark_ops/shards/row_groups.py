"""Parquet files as shards: runs of whole row groups, at least `ROWS_PER_SHARD` rows where a file has them."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa

from landmark_ops.errors import InputError
from landmark_ops.shards.columns import Wanted, choose_columns
from landmark_ops.shards.format import ShardOptions
from landmark_ops.shards.member import readable
from landmark_ops.shards.parquet import ParquetShard
from landmark_ops.shards.parquet_file import open_parquet
from landmark_ops.stores import locations

ROWS_PER_SHARD = 1024
_FOOTER_THREADS = 16


def table_shards(root: str, files: list[str], options: ShardOptions) -> list[ParquetShard]:
    """The shards of Parquet files at addresses `files` below `root`. Raises `InputError` listing columns."""
    wanted = Wanted(options.column, options.id_column, options.boxes_column, options.box_layout, options.box_relative)
    folder = locations.parent_and_name(root)[0] if locations.is_file(root) else root
    paths = locations.normalise(options.paths) if options.paths else folder
    with ThreadPoolExecutor(_FOOTER_THREADS) as pool:
        footers = list(pool.map(_footer, files))
    shards: list[ParquetShard] = []
    for uri, (schema, groups, version) in zip(files, footers, strict=True):
        columns = choose_columns(uri, schema, wanted)
        file = readable(uri.removeprefix(root).strip("/") or uri.rpartition("/")[2])
        for first, run in _runs(groups):
            shards.append(
                ParquetShard(
                    id=f"{file}#{first}",
                    size=sum(groups[group][1] for group, _ in run),
                    version=version,
                    count=sum(rows for _, rows in run),
                    limits=options.limits,
                    uri=uri,
                    file=file,
                    first_row=first,
                    group_rows=tuple(run),
                    columns=columns,
                    paths=paths,
                )
            )
    return shards


def _footer(uri: str) -> tuple[pa.Schema, list[tuple[int, int]], str]:
    """Schema, (rows, bytes) of each row group, version."""
    with locations.opening(uri):
        item = locations.stat(uri)
    try:
        with open_parquet(uri) as file:
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

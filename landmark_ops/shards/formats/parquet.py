"""Parquet files with a column of encoded images, at any depth, or one."""

from __future__ import annotations

from collections import Counter

from landmark_ops.errors import InputError
from landmark_ops.shards.format import SHARD_FORMATS, Listing, ShardFormat, ShardOptions
from landmark_ops.shards.member import suffix_of
from landmark_ops.shards.own_output import without_own
from landmark_ops.stores import locations
from landmark_ops.stores.sources.parquet_files import SUFFIXES, data_files

COLUMN_OPTIONS = ("column", "id_column", "boxes_column", "paths")
"""What may be said of the columns of a table."""


class ParquetFormat(ShardFormat):
    """Files of columns."""

    name = "parquet"
    title = "Parquet"
    order = 30
    suffixes = SUFFIXES[:1]
    options = COLUMN_OPTIONS

    def takes(self, name: str) -> bool:
        """By its suffix."""
        return name.lower().endswith(SUFFIXES)

    def list_shards(self, uri: str, options: ShardOptions) -> Listing:
        """Runs of row groups.

        Raises InputError where all Parquet files are those of our own output.
        """
        from landmark_ops.shards.row_groups import table_shards

        if locations.is_file(uri):
            return Listing(table_shards(uri, [uri], options), Counter())
        below = without_own((item.key, item) for item in locations.list_objects(uri))
        if not any(self.takes(item.key) for item in below):
            raise InputError(f"{uri}: no Parquet files are there but those of our own output: name another folder")
        files = data_files(uri, below)
        read = set(files)
        passed = Counter(suffix_of(item.key) for item in below if locations.join(uri, item.key) not in read)
        return Listing(table_shards(uri, files, options), passed)


SHARD_FORMATS.register(ParquetFormat())

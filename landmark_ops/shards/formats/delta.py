"""A Delta table with a column of encoded images: the Parquet files of one of its versions."""

from __future__ import annotations

from collections import Counter

from landmark_ops.shards.format import SHARD_FORMATS, Listing, ShardFormat, ShardOptions
from landmark_ops.shards.formats.parquet import COLUMN_OPTIONS
from landmark_ops.stores.sources.format import SOURCES, Place


class DeltaFormat(ShardFormat):
    """A folder with a log, which says which of its files are rows."""

    name = "delta"
    title = "a Delta table"
    order = 40
    options = (*COLUMN_OPTIONS, "version")
    configurable = False
    rows_move = True

    def marks(self, place: Place) -> bool:
        """By its log, as a source of rows is."""
        return SOURCES[self.name].lies_at(place)

    def list_shards(self, uri: str, options: ShardOptions) -> Listing:
        """Runs of row groups, as of now: later commits do not change what is read."""
        from landmark_ops.shards.row_groups import table_shards
        from landmark_ops.stores.sources.delta_source import delta_source

        return Listing(table_shards(uri, sorted(delta_source(uri, options.version).files), options), Counter())


SHARD_FORMATS.register(DeltaFormat())

"""A Zarr array of pictures, v2 or v3, or one of a group."""

from __future__ import annotations

from collections import Counter

from landmark_ops.shards.format import SHARD_FORMATS, Listing, ShardFormat, ShardOptions
from landmark_ops.stores.sources.format import SOURCES, Place


class ZarrFormat(ShardFormat):
    """A folder with a metadata document."""

    name = "zarr"
    title = "a Zarr array"
    order = 50
    options = ("column",)

    def marks(self, place: Place) -> bool:
        """By the metadata document of either version, as a source of rows is."""
        return SOURCES[self.name].lies_at(place)

    def list_shards(self, uri: str, options: ShardOptions) -> Listing:
        """Ranges of rows that cover whole chunks."""
        from landmark_ops.shards.zarr import zarr_shards

        return Listing(zarr_shards(uri, options.column, options.limits), Counter())


SHARD_FORMATS.register(ZarrFormat())

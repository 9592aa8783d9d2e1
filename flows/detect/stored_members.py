"""The images of a run as its source holds them now, read again from their shards."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from typing import NamedTuple

from flows.detect.run_tables import Row, recorded
from landmark_ops.errors import InputError
from landmark_ops.shards.format import SHARD_FORMATS, ShardOptions
from landmark_ops.shards.member import Member
from landmark_ops.shards.source import format_at, open_shards
from landmark_ops.stores import locations


class Place(NamedTuple):
    """Where to read the images again, if not where the run read them, and what the tables do not record of a source."""

    uri: str | None = None
    column: str | None = None
    id_column: str | None = None


def members_of(tables: str, images: Sequence[Row], place: Place) -> Iterator[tuple[Row, Member]]:
    """The images as the shards hold them now; those that are gone are left out. Reads no others."""
    wanted: dict[str, dict[str, Row]] = defaultdict(dict)
    for row in images:
        wanted[row["shard"]][row["image_id"]] = row
    uri = place.uri or recorded(tables, "source", "uri")
    if uri is None:
        raise InputError(f"{tables}: does not say where its images came from: name the place with --source")
    buckets = recorded(tables, "folder", "buckets")
    said = recorded(tables, f"reads/{images[0]['config_hash']}", "options") if images else None
    options = ShardOptions(**(said or {}))._replace(buckets=buckets)
    if place.column or place.id_column:
        options = options._replace(column=place.column, id_column=place.id_column)
    with locations.opening(locations.normalise(uri)):
        kind = SHARD_FORMATS["directory"] if buckets else format_at(locations.normalise(uri))
    if "glob" in kind.options:
        options = options._replace(glob="*")  # under any glob of the run
    for shard in open_shards(uri, kind.name, options).shards:
        if rows := wanted.pop(shard.id, None):
            members = shard.members(skip=AllBut({row["member"] for row in rows.values()}))
            for member in members:
                if member.image_id in rows:  # an id may equal the name of a row that has none
                    yield rows.pop(member.image_id), member
                if not rows:
                    break


class AllBut:
    """A container of everything but a few."""

    def __init__(self, few: Collection[str]) -> None:
        self.few = few

    def __contains__(self, name: object) -> bool:
        return name not in self.few

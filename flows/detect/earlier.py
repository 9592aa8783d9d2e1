"""What a worker does with the rows of a shard's earlier rounds: leave their images out, keep or replace them.

a shard only grew (files in a folder, rows of an array, a wider glob)    known names are left out unread, but for files
that were written anew: they are compared as below, and the rows of names that are gone stay
its content may have changed (a tar or a Parquet file written anew)      each image is compared by its sha256: the
same is kept with its rows, another one is detected anew, rows of images that are gone are deleted; where boxes are
given all is detected anew, since a picture's sha256 does not cover them
rows of a table have moved to another file                               an id that a vanished file had is replaced
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import lru_cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from flows.detect.job import GoneShard, Round
from landmark_ops.keypoints.schema import SCHEMAS
from landmark_ops.shards.member import Member, Shard
from landmark_ops.stores.tables.ledger import GENERATION
from landmark_ops.stores.tables.replacing import Replaced
from landmark_ops.stores.tables.tables import TableSet

DIGESTS = {"keypoints": "image_sha256", "failures": "sha256", "images": "image_sha256"}
Pair = tuple[str, str | None]
"""A member's name and the sha256 of its picture; None where nothing could be read."""


class Earlier:
    """The rows of a shard's earlier rounds while it is read once more.

    `skip` holds the members to leave out unread.
    """

    def __init__(self, tables: TableSet, shard: Shard, round: Round, generation: str) -> None:
        self.skip: set[str] = set()
        self._shard, self._round = shard, round
        self._rows: dict[str, pa.Table] = {}
        self._reasons: set[tuple[str, str]] = set()
        self._known: set[Pair] = set()
        self._kept: set[Pair] = set()
        self._renewed: set[str] = set()
        self._moved: dict[GoneShard, list[tuple[str, int | None]]] = {}
        if round.number == 1:
            return
        written: frozenset[str] = frozenset()
        grew = shard.only_grew(round.recorded.version)
        if grew:
            done = tables.rows_of("images", generation, shard.id, round.number)
            self.skip = set(done.column("member").to_pylist())
            written = shard.written_since(round.recorded)
            if self.skip.isdisjoint(written):
                return
            self.skip -= written
        self._rows = {name: tables.rows_of(name, generation, shard.id, round.number) for name in SCHEMAS}
        self._known = set(_pairs("images", self._rows["images"]))
        self._kept = {pair for pair in self._known if pair[0] in self.skip}
        failures = self._rows["failures"].select(["member", "reason"])
        self._reasons = set(zip(*(column.to_pylist() for column in failures.columns), strict=True))

    def fresh(
        self, members: Iterator[Member], boxes_given: bool, moved: dict[str, tuple[GoneShard, int | None]]
    ) -> Iterator[Member]:
        """The members whose rows are not on record. `moved`: by image id, rows of shards that are gone."""
        for member in members:
            if self._known:
                if not boxes_given and self._is_same(member):
                    self._kept.add((member.member, digest_of(member)))
                    continue
                self._renewed.add(member.member)
            if member.image_id in moved:
                gone, instances = moved[member.image_id]
                self._moved.setdefault(gone, []).append((member.image_id, instances))
            yield member

    def carried(self) -> dict[str, pa.Table]:
        """Rows to write again among the new ones, since the shard's old ones go as a whole; none where nothing goes."""
        if not self._changed:
            return {name: schema.empty_table() for name, schema in SCHEMAS.items()}
        return {
            name: table.filter(pa.array(np.array([pair in self._kept for pair in _pairs(name, table)], bool)))
            for name, table in self._rows.items()
        }

    def replaced(self) -> tuple[Replaced, ...]:
        """The earlier rows that the new round replaces."""
        found = []
        if self._changed:
            rows = {name: table.num_rows for name, table in self._rows.items()}
            found.append(Replaced(self._shard.id, self._round.recorded.version, self._round.number - 1, None, rows))
        for gone, images in self._moved.items():
            counts = Counter[str](images=len(images))
            for _, instances in images:
                counts["keypoints"] += instances or 0
                counts["failures"] += instances is None
            found.append(Replaced(*gone, tuple(image_id for image_id, _ in images), dict(counts)))
        return tuple(found)

    @property
    def rewritten(self) -> int:
        """How many of the images on record give way to another one, or another account of them, of the same name."""
        return len({name for name, _ in self._known - self._kept} & self._renewed)

    def _is_same(self, member: Member) -> bool:
        """Whether a member is on record as it is now, or fails as it did."""
        if (member.member, digest_of(member)) not in self._known or member.member in self._renewed:
            return False
        return member.failure is None or (member.member, member.failure[0]) in self._reasons

    @property
    def _changed(self) -> bool:
        """Whether a row on record is not that of an image met now."""
        return self._kept != self._known


def digest_of(member: Member) -> str | None:
    """The sha256 of a member's stored bytes or pixels, None where it has neither."""
    if member.data is not None:
        return hashlib.sha256(member.data).hexdigest()
    if member.image is not None:
        return hashlib.sha256(np.ascontiguousarray(member.image).data).hexdigest()
    return None


@lru_cache(maxsize=2)
def moved_rows(
    tables: TableSet, generation: str, gone: tuple[GoneShard, ...], run_id: str
) -> dict[str, tuple[GoneShard, int | None]]:
    """The images on record of shards that are gone, by id, each with how many rows of keypoints it has.

    Read once per run: what `run_id` is for.
    """
    by_name = {one.shard: one for one in gone}
    wanted = (pc.field(GENERATION) == generation) & pc.field("shard").isin(list(by_name))
    rows = tables.dataset("images").to_table(columns=["shard", "image_id", "instances"], filter=wanted).to_pylist()
    return {row["image_id"]: (by_name[row["shard"]], row["instances"]) for row in rows}


def _pairs(name: str, table: pa.Table) -> Sequence[Pair]:
    return list(zip(table.column("member").to_pylist(), table.column(DIGESTS[name]).to_pylist(), strict=True))

"""A shard format: pictures as text, `<name>.hex`, one picture per line as the hexadecimal digits of its file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterator
from dataclasses import dataclass
from pathlib import Path

from landmark_ops.shards.format import SHARD_FORMATS, Listing, ShardFormat, ShardOptions
from landmark_ops.shards.member import Member, Shard
from landmark_ops.stores import locations


@dataclass(frozen=True, kw_only=True)
class HexShard(Shard):
    """One file."""

    uri: str

    def members(self, skip: Container[str] = (), passed: Counter[str] | None = None) -> Iterator[Member]:
        for line, text in enumerate(Path(self.uri).read_text().split()):
            if str(line) not in skip:
                yield Member(self.id, str(line), bytes.fromhex(text), image_id=f"{self.id}/{line}")


class HexFormat(ShardFormat):
    name = "hex"
    title = "hexadecimal digits"
    order = 100
    suffixes = (".hex",)

    def takes(self, name: str) -> bool:
        return name.endswith(self.suffixes)

    def list_shards(self, uri: str, options: ShardOptions) -> Listing:
        there = [item for item in locations.list_objects(uri) if self.takes(item.key)]
        shards = [
            HexShard(id=item.key, size=item.size, version=item.version, uri=locations.join(uri, item.key))
            for item in sorted(there)
        ]
        return Listing(shards, Counter())


SHARD_FORMATS.register(HexFormat())

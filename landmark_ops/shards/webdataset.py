"""WebDataset tars as shards: one tar, plain or compressed, is one shard, streamed and never unpacked.

Members with an image suffix (or matching the glob) are images; what lies beside them is counted and passed over. The
version of a shard includes the glob: with another glob the newly matching members are read. A tar that is cut off keeps
the images before the cut and gets one failure with an empty member name. image_id is `<tar>/<member>`, the tar's path
below the source. A name met twice counts once: later ones are failures, with `#2` and so on after their image_id. So
are names that would lead out of a folder if someone used them as paths: nothing is ever written under them here, but
later steps may name files by image.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterator
from contextlib import closing
from dataclasses import dataclass

from landmark_ops.shards.member import (
    DAMAGED_SHARD,
    DUPLICATE,
    NOT_A_FILE,
    SHARD_TOO_LARGE,
    TRUNCATED_SHARD,
    UNSAFE_NAME,
    Limits,
    Member,
    Selection,
    Shard,
    is_unsafe,
    readable,
    suffix_of,
)
from landmark_ops.shards.tar_stream import Entry, TarDamagedError, TarStream, TarTooLargeError, TarTruncatedError
from landmark_ops.stores.locations import StoredObject, join

SUFFIXES = (
    *(".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tbz", ".tar.xz", ".txz", ".tar.zst", ".tar.zstd", ".tzst"),
)


@dataclass(frozen=True, kw_only=True)
class TarShard(Shard):
    """One tar."""

    uri: str
    selection: Selection
    content: str

    def only_grew(self, recorded: str) -> bool:
        """Whether it is the same tar, under whatever glob."""
        return recorded == self.content or recorded.startswith(f"{self.content}:")

    def members(self, skip: Container[str] = (), passed: Counter[str] | None = None) -> Iterator[Member]:
        """The images in the order of the archive."""
        limit = max(self.limits.floor_bytes, self.limits.expansion * self.size)
        try:
            with closing(TarStream(self.uri, limit)) as archive:
                yield from self._images(archive, skip, passed)
            return
        except TarTruncatedError as error:
            reason, detail = TRUNCATED_SHARD, f"the tar is cut off: {error}"
        except TarDamagedError as error:
            reason, detail = DAMAGED_SHARD, f"the tar is damaged: {error}"
        except TarTooLargeError:
            reason = SHARD_TOO_LARGE
            detail = f"the tar of {self.size} bytes grows beyond {limit} when decompressed"
        if "" not in skip:
            yield self.failed("", reason, detail)

    def _images(self, archive: TarStream, skip: Container[str], passed: Counter[str] | None) -> Iterator[Member]:
        seen: Counter[str] = Counter()
        for entry in archive:
            name = readable(entry.name)
            if entry.kind == "folder":
                continue
            if entry.name not in self.selection:
                if passed is not None:
                    passed[suffix_of(entry.name.removeprefix("./"))] += 1
                continue
            if len(seen) >= self.limits.members:
                yield self.failed("", SHARD_TOO_LARGE, f"more than {self.limits.members} images")
                return
            seen[name] += 1
            if name in skip:
                continue
            if bad := self._failure(entry, seen[name] == 1):
                again = f"#{seen[name]}" if seen[name] > 1 else ""  # no two rows of `images` have one id
                yield self.failed(name, *bad, f"{self.id}/{name}{again}")
            else:
                yield Member(self.id, name, archive.read(entry.size), image_id=f"{self.id}/{name}")

    def _failure(self, entry: Entry, first: bool) -> tuple[str, str] | None:
        if is_unsafe(entry.name):
            return UNSAFE_NAME, "the name leads out of the archive"
        if not first:
            return DUPLICATE, "the archive holds a member of this name before"
        if entry.kind != "file":
            return NOT_A_FILE, entry.kind
        return self.size_failure(entry.size)


def tar_shards(root: str, listed: list[StoredObject], selection: Selection, limits: Limits) -> list[TarShard]:
    """A shard per tar, sorted by path. `listed`: the tars below `root`; the key is "" where `root` is one itself."""
    return [
        TarShard(
            id=readable(item.key or root.rpartition("/")[2]),
            size=item.size,
            version=f"{item.size}:{item.version}" + (f":{selection.glob}" if selection.glob else ""),
            content=f"{item.size}:{item.version}",
            limits=limits,
            uri=join(root, item.key),
            selection=selection,
        )
        for item in sorted(listed)
    ]

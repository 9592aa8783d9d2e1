"""A folder of image files, at any depth, as shards that stay the same when files are added.

A file's shard is its bucket: the first bits of the sha256 of its path, so it depends on the name alone. However many
files appear later, no old file moves to another shard, and two runs that see different listings agree on every file
they both see. New files make the buckets they fall into grow; a run then asks the `images` table which members of such
a bucket are done, and reads only the others. Sorted chunks of N files would instead shift behind every new name.

The number of buckets, a power of two, is chosen at the first run from the number of files, and must be handed back at
every later one (the output remembers it): a tree that has outgrown it has larger shards, never different ones. The
version of a shard is the digest of its names, followed by a mark of four bytes for each file: of its name, its size
and its time or ETag. A file whose mark is not on record is new, or was written anew under its name, and is read; one in
2^24 of the changed files of a full bucket passes for unchanged. What earlier releases put on record has no marks: there
a file counts as written anew where its time is later than that of its rows.

image_id is the path below the source, so it does not even depend on the number of buckets. Files that are gone,
unreadable, no plain files or too large become failures when they are read.
"""

from __future__ import annotations

import base64
import errno
import hashlib
import os
import stat
from collections import Counter, deque
from collections.abc import Callable, Container, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from landmark_ops.errors import InputError, RunError
from landmark_ops.shards.member import NOT_A_FILE, UNREADABLE, Limits, Member, OnRecord, Selection, Shard, readable
from landmark_ops.shards.tree import Listed
from landmark_ops.stores import locations

FILES_PER_SHARD = 256
MIN_SHARDS, MAX_SHARDS = 4, 65_536  # a handful, so that several workers have work in a small folder
READ_AHEAD = 8  # remote files fetched at a time: each costs a round trip
MARK_BYTES = 4

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True, kw_only=True)
class FolderShard(Shard):
    """The files of one bucket, in sorted order."""

    root: str
    files: tuple[Listed, ...]

    def is_done(self, recorded: OnRecord) -> bool:
        """Whether it has the same files, none of them written anew."""
        if _has_marks(recorded):
            return self.version == recorded.version
        return self.version.partition(":")[0] == recorded.version and not self.written_since(recorded)

    def written_since(self, recorded: OnRecord) -> frozenset[str]:
        """The files whose marks are not on record, new ones among them; by their times where no marks are."""
        if not _has_marks(recorded):
            return frozenset(readable(file.name) for file in self.files if file.modified > recorded.committed)
        marks = base64.b64decode(recorded.version.partition(":")[2])
        known = {marks[at : at + MARK_BYTES] for at in range(0, len(marks), MARK_BYTES)}
        return frozenset(readable(file.name) for file in self.files if _mark(file) not in known)

    def members(self, skip: Container[str] = (), passed: Counter[str] | None = None) -> Iterator[Member]:
        """The files as bytes; a remote folder is read a few files ahead."""
        wanted = (file for file in self.files if readable(file.name) not in skip)
        if locations.is_remote(self.root):
            yield from _ahead(wanted, self._read_remote)
        else:
            yield from map(self._read_local, wanted)

    def read(self, file: Listed) -> Member:
        """One file as bytes, or its failure."""
        return self._read_remote(file) if locations.is_remote(self.root) else self._read_local(file)

    def _read_local(self, file: Listed) -> Member:
        name = readable(file.name)
        try:
            # Not blocking, or a named pipe would wait for a writer for ever.
            handle = os.open(os.path.join(self.root, file.name), os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            return self._unreadable(name, error)
        found = os.fstat(handle)
        if not stat.S_ISREG(found.st_mode):
            os.close(handle)
            return self.failed(name, NOT_A_FILE, stat.filemode(found.st_mode), name)
        with open(handle, "rb") as opened:
            if bad := self.size_failure(found.st_size):
                return self.failed(name, *bad, name)
            try:
                return Member(self.id, name, opened.read(self.limits.member_bytes), image_id=name)
            except OSError as error:
                return self._unreadable(name, error)

    def _unreadable(self, name: str, error: OSError) -> Member:
        of_the_file = (errno.ENOENT, errno.EACCES, errno.EPERM, errno.ELOOP, errno.ENXIO, errno.ENOTDIR, errno.EISDIR)
        if error.errno not in (*of_the_file, errno.ENODEV, errno.ENAMETOOLONG):
            raise RunError(
                f"{locations.join(self.root, name)}: cannot be read now ({error.strerror}): check the disk or mount, "
                "then run again"
            ) from error
        return self.failed(name, UNREADABLE, error.strerror or "cannot be opened", name)

    def _read_remote(self, file: Listed) -> Member:
        name = readable(file.name)
        if bad := self.size_failure(file.size):
            return self.failed(name, *bad, name)
        try:
            data = locations.read_bytes(locations.join(self.root, file.name))
        except FileNotFoundError:
            return self.failed(name, UNREADABLE, "has gone since the folder was listed", name)
        except (
            Exception
        ) as error:  # S3 clients raise anything; denied access may be an expired key, so it is not the file's failure
            raise RunError(
                f"{locations.join(self.root, file.name)}: cannot be read now ({error}): check AWS_* credentials and "
                "AWS_ENDPOINT_URL, then run again"
            ) from error
        if bad := self.size_failure(len(data)):
            return self.failed(name, *bad, name)
        return Member(self.id, name, data, image_id=name)


def folder_shards(
    root: str, listed: Iterable[Listed], selection: Selection, buckets: int | None, limits: Limits
) -> list[FolderShard]:
    """The shards of a tree, in order; empty buckets are left out. `buckets`: as at the first run, None at the first.

    Raises InputError for a number of buckets that is not a power of two.
    """
    files = sorted(file for file in listed if file.name in selection)
    count = buckets or default_buckets(len(files))
    if count < 1 or count & (count - 1):
        raise InputError(f"source.buckets is {count}: it must be a power of two, such as {default_buckets(len(files))}")
    held: dict[int, list[Listed]] = {}
    for file in files:
        held.setdefault(bucket_of(file.name, count), []).append(file)
    return [
        FolderShard(
            id=f"bucket-{at:05d}-of-{count:05d}",
            size=sum(file.size for file in members),
            version=f"{_digest(members)}:{base64.b64encode(b''.join(map(_mark, members))).decode()}",
            count=len(members),
            limits=limits,
            root=root,
            files=tuple(members),
        )
        for at, members in sorted(held.items())
    ]


def default_buckets(n_files: int) -> int:
    """How many buckets a tree of so many files gets at its first run."""
    wanted = -(-n_files // FILES_PER_SHARD)
    return min(max(MIN_SHARDS, 1 << max(wanted - 1, 0).bit_length()), MAX_SHARDS)


def bucket_of(name: str, buckets: int) -> int:
    """The bucket of a file: the leading bits of the sha256 of its path, as bytes."""
    leading = hashlib.sha256(name.encode("utf-8", "surrogateescape")).digest()[:8]
    return int.from_bytes(leading, "big") * buckets >> 64


def _digest(files: Iterable[Listed]) -> str:
    hasher = hashlib.sha256()
    for file in files:
        hasher.update(file.name.encode("utf-8", "surrogateescape") + b"\0")
    return hasher.hexdigest()


def _mark(file: Listed) -> bytes:
    state = f"{file.name}\0{file.size}\0{file.version}".encode("utf-8", "surrogateescape")
    return hashlib.blake2b(state, digest_size=MARK_BYTES).digest()


def _has_marks(recorded: OnRecord) -> bool:
    return ":" in recorded.version


def _ahead(items: Iterable[T], fetch: Callable[[T], R]) -> Iterator[R]:
    """`map(fetch, items)` with a bounded number of fetches under way."""
    with ThreadPoolExecutor(READ_AHEAD) as pool:
        waiting: deque[Future[R]] = deque()
        try:
            for item in items:
                waiting.append(pool.submit(fetch, item))
                if len(waiting) >= READ_AHEAD:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()

"""Traces of a write on local disk that remain where size and modification time are as before.

`touch -r`, `cp -p` and `rsync --times` set the modification time; an inode's number and its change time cannot be set.
Only good within one run: copying a source, or linking it, changes both. S3 versions are the content's own.
"""

from __future__ import annotations

import hashlib
import os
from typing import NamedTuple

from landmark_ops.stores.locations import is_remote, join, list_objects


class Trace(NamedTuple):
    """Digests over all files of a source."""

    inodes: str
    rights: str  # owner, mode, links: changing these changes the times, not the content
    times: str


def trace(uri: str) -> Trace | None:
    """The trace of the file or folder at `uri`; None where nothing local is there. Costs one `stat` per file."""
    if is_remote(uri) or not os.path.exists(uri):
        return None
    paths = [join(uri, item.key) for item in list_objects(uri)] if os.path.isdir(uri) else [uri]
    inodes, rights, times = (hashlib.sha256() for _ in range(3))
    for path in paths:
        found = os.stat(path)
        inodes.update(f"{found.st_dev} {found.st_ino}\n".encode())
        rights.update(f"{found.st_uid} {found.st_gid} {found.st_mode} {found.st_nlink}\n".encode())
        times.update(f"{found.st_ctime_ns}\n".encode())
    return Trace(inodes.hexdigest(), rights.hexdigest(), times.hexdigest())


def was_written(before: Trace | None, after: Trace | None) -> bool:
    """Whether anything was written between two traces. New links and changed permissions do not count."""
    if before is None or after is None:
        return (before is None) != (after is None)
    return before.inodes != after.inodes or (before.rights == after.rights and before.times != after.times)

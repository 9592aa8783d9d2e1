"""Pictures that a table names by path instead of holding them: read below one folder, and nowhere else.

Tables are untrusted: a path that leads out of the folder, by `..`, by a link or by another address, is a failure of its
row, and messages repeat no path.
"""

from __future__ import annotations

import os

from landmark_ops.shards.folder import FolderShard
from landmark_ops.shards.member import UNREADABLE, UNSAFE_NAME, Limits, is_unsafe
from landmark_ops.shards.tree import Listed
from landmark_ops.stores import locations

Found = tuple[bytes | None, tuple[str, str] | None]
"""The bytes, or reason and detail of what is wrong."""

_OUTSIDE = "the bytes are null and the path leads out of the source's folder: name the pictures' root by source.paths"
_GONE = "the bytes are null, and no picture can be read at the path"


def read_beside(root: str, path: str, limits: Limits) -> Found:
    """The bytes of the picture at `path`, which lies below `root` or leads there from it.

    Raises `RunError` as a folder does: where storage fails rather than the file.
    """
    name = path.removeprefix("file://").removeprefix(root.rstrip("/") + "/")
    if "://" in name or is_unsafe(name):
        return None, (UNSAFE_NAME, _OUTSIDE)
    size = 1
    if locations.is_remote(root):
        if not locations.is_file(locations.join(root, name)):
            return None, (UNREADABLE, _GONE)
        size = locations.stat(locations.join(root, name)).size
    else:
        inside = os.path.realpath(root)
        if os.path.commonpath([inside, os.path.realpath(os.path.join(root, name))]) != inside:
            return None, (UNSAFE_NAME, _OUTSIDE)
    folder = FolderShard(id="", size=0, version="", limits=limits, root=root, files=())
    member = folder.read(Listed(name, size))
    if member.failure is not None and member.failure[0] == UNREADABLE:
        return None, (UNREADABLE, _GONE)
    return member.data, member.failure

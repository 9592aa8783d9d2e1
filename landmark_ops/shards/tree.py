"""Every file below a folder, local or remote, at any depth.

Links to files and folders are followed, as data sets often consist of them; a folder reached twice is read once, under
its real path if it has one in the tree.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import NamedTuple

from landmark_ops.stores import locations


class Listed(NamedTuple):
    """A file of the tree: its path below the source, its stored bytes and when it was written (0 where unknown).

    version: what changes when it is written anew: the ETag of an object, a local file's time in nanoseconds.
    """

    name: str
    size: int
    modified: float = 0.0
    version: str = ""


def list_tree(root: str) -> Iterator[Listed]:
    """Every file below `root`, local or remote. Raises `InputError` for a folder that may not be listed."""
    if locations.is_file(root):
        found = locations.stat(root)
        yield Listed("", found.size, found.modified, found.version)
    elif locations.is_remote(root):
        yield from (Listed(item.key, item.size, item.modified, item.version) for item in locations.list_objects(root))
    else:
        yield from _walk(root)


def _walk(root: str) -> Iterator[Listed]:
    # Real folders first, links to folders after them: so a folder's path does not depend on who links to it.
    seen: set[tuple[int, int]] = set()
    folders, links = [""], list[str]()
    while folders or links:
        relative = folders.pop() if folders else links.pop(0)
        place = os.path.join(root, relative)
        found = os.stat(place)
        if (found.st_dev, found.st_ino) in seen:
            continue
        seen.add((found.st_dev, found.st_ino))
        with os.scandir(place) as entries:
            for entry in sorted(entries, key=lambda entry: entry.name):
                name = f"{relative}/{entry.name}" if relative else entry.name
                if entry.is_dir(follow_symlinks=False):
                    folders.append(name)
                elif _leads_to_folder(entry):
                    links.append(name)
                else:
                    yield Listed(name, *_state(entry))


def _leads_to_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def _state(entry: os.DirEntry[str]) -> tuple[int, float, str]:
    try:
        found = entry.stat()
    except OSError:  # a dangling link: it fails when it is read
        return 0, 0.0, ""
    return found.st_size, found.st_mtime, str(found.st_mtime_ns)

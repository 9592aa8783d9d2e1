"""Our own output below a source: tables of a run and reports. It is never read as images.

An output of `landmarks detect` is known by its private folder, a report of `landmarks embed` by its folder's name and
its page. So it is found whichever run wrote it, this one included. Drawings, which may lie in any folder,
carry a mark inside (images/encode.py).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

PRIVATE = "_landmark_ops"
PARTS = ("keypoints", "failures", "images", "shards", "report", PRIVATE)
"""Folders of an output; they and no others are left out, since pictures may lie beside them."""
PAGE = ".report/index.html"

T = TypeVar("T")


def without_own(items: Iterable[tuple[str, T]]) -> list[T]:
    """The items that are not ours. `items`: the path below the source, with / between folders, and what it stands for.

    Everything below a private folder, and below its neighbours in `PARTS`, is ours.
    """
    listed = list(items)
    ours: set[str] = set()
    for name, _ in listed:
        path = f"/{name}"
        output, _, rest = path.partition(f"/{PRIVATE}/")
        if rest:
            ours.update(f"{output}/{part}" for part in PARTS)
        elif path.endswith(PAGE):
            ours.add(path.removesuffix("/index.html"))
    return [item for name, item in listed if not ours or ours.isdisjoint(_folders_of(f"/{name}"))]


def _folders_of(path: str) -> list[str]:
    return [path[:at] for at, sign in enumerate(path) if sign == "/"]

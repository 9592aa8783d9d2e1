"""Where the chunks of an output and of its successor lie side by side: three disjoint families of keys in one folder.

    slot 0   embedding/c/0/0   slot 1   embedding/c.0.0   slot 2   embedding/0.0

Zarr's metadata says which family an array uses (`chunk_key_encoding`), so replacing metadata replaces the data, in one
write, on S3 as on disk; a reader that opened the old metadata goes on reading the old chunks.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from landmark_ops.stores.locations import list_objects, remove_objects

SLOTS = (0, 1, 2)
ENCODINGS: tuple[dict[str, Any], ...] = (
    {"name": "default", "separator": "/"},
    {"name": "default", "separator": "."},
    {"name": "v2", "separator": "."},
)
GROUPS = ("landmarks", "map", "chunks")


def free_slot(current: int | None, taken: Collection[int]) -> int:
    """A slot that is not `current`, and not `taken` either: there are three, and no more than two outputs at a time.

    The one after the current is tried first, so that readers of the one before keep it longest.
    """
    order = SLOTS if current is None else ((current + 1) % 3, (current + 2) % 3)
    return next((slot for slot in order if slot not in taken), order[-1])


def slot_of(node: dict[str, Any]) -> int:
    """The slot that an array's metadata names."""
    encoding = node.get("chunk_key_encoding", {})
    separator = encoding.get("configuration", {}).get("separator", "/")
    return 2 if encoding.get("name") == "v2" else 0 if separator == "/" else 1


def split_key(key: str) -> tuple[str, int | None]:
    """The array that an object below an output belongs to, and its slot; None for metadata and what is not ours.

    >>> split_key("embedding/c/0/0"), split_key("map/readout/c.0.0"), split_key("residual/7"), split_key("zarr.json")
    (('embedding', 0), ('map/readout', 1), ('residual', 2), ('', None))
    """
    parts = key.split("/")
    depth = 2 if parts[0] in GROUPS else 1
    array, rest = "/".join(parts[:depth]), "/".join(parts[depth:])
    if not rest:
        return "", None
    return array, key_slot(rest)


def key_slot(key: str) -> int | None:
    """The slot of an object within the folder of its array; None where it is no chunk."""
    if key.startswith("c/"):
        return 0
    if key.startswith("c."):
        return 1
    return 2 if key[:1].isdigit() else None


def wipe(uri: str, keep: Collection[int]) -> None:
    """Delete the chunks of the output at `uri` in all slots but those to `keep`."""
    remove_objects(uri, [found.key for found in list_objects(uri) if split_key(found.key)[1] not in (None, *keep)])

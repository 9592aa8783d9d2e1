"""A group compared with its own metadata: every object is there with its size, every small array has its hash."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from itertools import product
from math import prod
from typing import Any

import numpy as np

from landmark_ops.errors import DamagedError
from landmark_ops.row_range import RowRange
from landmark_ops.stores.damage import Damage
from landmark_ops.stores.embeddings.contents import OTHER_HASH, hash_array
from landmark_ops.stores.embeddings.store import Examined
from landmark_ops.stores.embeddings.zarr.documents import HASHES, ROOT, Document
from landmark_ops.stores.embeddings.zarr.whole import read_whole
from landmark_ops.stores.locations import join, list_objects, read_bytes
from landmark_ops.stores.slots import GROUPS

NEEDED = ("embedding", "residual", "map", "landmarks", "landmarks/indices", "landmarks/points", "chunks/committed")
CRC_BYTES = 4
SHAPING = ("shape", "data_type", "chunk_grid", "chunk_key_encoding", "codecs", "fill_value")


def find_missing(uri: str, document: Document) -> list[Damage]:
    """What a complete output lacks: metadata of arrays, and chunks, or those of another size than was written."""
    sizes = {found.key: found.size for found in list_objects(uri)}
    needed = {*NEEDED, *document.nodes}
    damages = [Damage(path, f"{path}/{ROOT}", "is missing") for path in sorted(needed) if f"{path}/{ROOT}" not in sizes]
    group: Any = document.group(uri)
    for path, node in sorted(document.nodes.items()):
        if node["node_type"] == "array" and (document.all_chunks or path == "embedding"):
            damages += _missing_chunks(path, group[path], sizes, _may_lack(document, group, path))
    return damages


def chunk_key(array: Any, index: tuple[int, ...]) -> str:
    """The object that holds a chunk of an array, below the output."""
    return f"{array.path}/{array.metadata.encode_chunk_key(index)}"


def _missing_chunks(path: str, array: Any, sizes: Mapping[str, int], may_lack: set[int]) -> Iterator[Damage]:
    expected = prod(array.chunks) * array.dtype.itemsize + CRC_BYTES
    codecs = [codec["name"] for codec in array.metadata.to_dict()["codecs"]]
    step = array.chunks[0] if array.ndim else 1
    for index in product(*(range(-(-size // chunk)) for size, chunk in zip(array.shape, array.chunks, strict=True))):
        key = chunk_key(array, index)
        rows = RowRange(index[0] * step, min((index[0] + 1) * step, array.shape[0])) if "/" not in path else None
        if key not in sizes:
            if not (index and index[0] in may_lack):
                yield Damage(path, key, "is missing", rows)
        elif codecs == ["bytes", "crc32c"] and sizes[key] != expected:
            yield Damage(path, key, f"has {sizes[key]:,} bytes instead of {expected:,}", rows)


def _may_lack(document: Document, group: Any, path: str) -> set[int]:
    """Chunks that older versions did not store: those of nothing but rows without coordinates."""
    if document.all_chunks or path not in document.nodes or "chunks/bad_rows" not in document.nodes:
        return set()
    n, step = group[path].shape[0], group[path].chunks[0]
    bad = np.asarray(group["chunks/bad_rows"][...])
    return {int(chunk) for chunk in np.flatnonzero(bad >= np.minimum(step, n - np.arange(len(bad)) * step))}


def examine(uri: str, document: Document, *, staged: bool) -> Examined:
    """The metadata of each array against the group's, and the content of small arrays against their hashes.

    Arrays of one chunk whose hash was not recorded count as unchecked: only their checksums are verified. `staged`:
    of a successor, whose metadata is in one object alone.
    """
    damages = [] if staged else _other_metadata(uri, document)
    group: Any = document.group(uri)
    unchecked = []
    for path, node in sorted(document.nodes.items()):
        if node["node_type"] != "array" or path.partition("/")[0] not in GROUPS:
            continue
        array = group[path]
        key = chunk_key(array, (0,) * array.ndim)
        recorded = document.ours.get(HASHES, {}).get(path)
        try:
            found = hash_array(read_whole(uri, array) if document.all_chunks else array[...])
        except DamagedError:
            damages.append(Damage(path, key, "is missing"))
        except ValueError:
            damages.append(Damage(path, key, "has another checksum than its content"))
        else:
            if recorded is None:
                unchecked.append(path)
            elif recorded != found:
                damages.append(Damage(path, key, OTHER_HASH))
    arrays = sum(node["node_type"] == "array" for node in document.nodes.values())
    return Examined(arrays, damages, unchecked)


def _other_metadata(uri: str, document: Document) -> list[Damage]:
    """Arrays whose own zarr.json is unreadable, or says other than the group's: readers of the two would differ."""
    damages = []
    for path, node in sorted(document.nodes.items()):
        key = join(path, ROOT)
        try:
            found = json.loads(read_bytes(join(uri, key)))
            if any(found.get(name) != node.get(name) for name in SHAPING):
                damages.append(Damage(path, key, "says other than the group's own zarr.json"))
        except FileNotFoundError:
            damages.append(Damage(path, key, "is missing"))
        except ValueError:
            damages.append(Damage(path, key, "cannot be read"))
    return damages

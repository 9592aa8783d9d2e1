"""Whether all that an output has on record is there with its size: one listing of objects, their content unread."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import product
from math import prod
from typing import Any

import numpy as np

from landmark_ops.errors import DamagedError
from landmark_ops.row_range import RowRange
from landmark_ops.stores.damage import Damage
from landmark_ops.stores.embeddings.documents import ROOT, Document
from landmark_ops.stores.embeddings.embedding import EmbeddingStore
from landmark_ops.stores.locations import list_objects

NEEDED = ("embedding", "residual", "map", "landmarks", "landmarks/indices", "landmarks/points", "chunks/committed")
CRC_BYTES = 4


def find_missing(store: EmbeddingStore) -> list[Damage]:
    """What a complete output lacks: metadata of arrays, and chunks, or those of another size than was written."""
    document = store.document()
    sizes = {found.key: found.size for found in list_objects(store.uri)}
    needed = {*NEEDED, *document.nodes}
    damages = [Damage(path, f"{path}/{ROOT}", "is missing") for path in sorted(needed) if f"{path}/{ROOT}" not in sizes]
    group: Any = document.group(store.uri)
    for path, node in sorted(document.nodes.items()):
        if node["node_type"] == "array" and (document.all_chunks or path == "embedding"):
            damages += _missing_chunks(path, group[path], sizes, _may_lack(document, group, path))
    return damages


def raise_for(uri: str, damages: list[Damage]) -> None:
    """DamagedError that names the first of them, and what to do; nothing happens where there are none."""
    if not damages:
        return
    more = f", and {len(damages) - 1:,} more" if len(damages) > 1 else ""
    raise DamagedError(
        f"{uri}: the embedding is damaged: {damages[0].key} {damages[0].what}{more}: `landmarks repair` with the "
        "config of the run computes damaged chunks anew from its source, output.overwrite: true all of it"
    )


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
    """Chunks that the version before did not store: those of nothing but rows without coordinates."""
    if document.all_chunks or path not in document.nodes or "chunks/bad_rows" not in document.nodes:
        return set()
    n, step = group[path].shape[0], group[path].chunks[0]
    bad = np.asarray(group["chunks/bad_rows"][...])
    return {int(chunk) for chunk in np.flatnonzero(bad >= np.minimum(step, n - np.arange(len(bad)) * step))}


def count_committed(store: EmbeddingStore) -> tuple[int, int]:
    """How many chunks of rows are committed, and how many there are in all; zeros before there is a map."""
    document = store.document()
    if "embedding" not in document.nodes:
        return 0, 0
    group: Any = document.group(store.uri)
    count = -(-group["embedding"].shape[0] // group["embedding"].chunks[0])
    return int(store.get("chunks")["committed"].sum()) if "chunks/committed" in document.nodes else 0, count

"""All that an embedding holds against what was recorded when it was committed. Reads everything, writes nothing."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from numpy.typing import NDArray

from landmark_ops.engine.protocol import Engine
from landmark_ops.errors import DamagedError, RunError
from landmark_ops.row_range import Done, RowRange
from landmark_ops.stores.damage import Damage
from landmark_ops.stores.embeddings.contents import describe, digest_of, hash_array
from landmark_ops.stores.embeddings.documents import ROOT, Document
from landmark_ops.stores.embeddings.embedding import HASHES, EmbeddingStore
from landmark_ops.stores.embeddings.presence import chunk_key, find_missing
from landmark_ops.stores.embeddings.records import ChunkRecords
from landmark_ops.stores.embeddings.whole import read_whole
from landmark_ops.stores.locations import join, read_bytes
from landmark_ops.stores.slots import GROUPS

OTHER_HASH = "has not the hash it was committed with"
SHAPING = ("shape", "data_type", "chunk_grid", "chunk_key_encoding", "codecs", "fill_value")


class Verified(NamedTuple):
    """What was looked at, by kind and number, what is damaged, and what nothing was recorded of to compare with."""

    uri: str
    checked: dict[str, int]
    damaged: list[Damage]
    unchecked: list[str]


def verify_embedding(store: EmbeddingStore, engine: Engine, done: Done | None = None) -> Verified:
    """Compare every committed chunk, the map, landmarks and the table of chunks with their hashes.

    Raises DamagedError where the group's own metadata cannot be read, which names all else, RunError where another
    output was put in its place meanwhile.
    """
    store.read_status()
    document = store.document()
    try:
        found = _compare(store, document, engine, done)
    except Exception:  # of two outputs read for one, anything may be said
        _check_same(store, document)
        raise
    _check_same(store, document)
    return found


def _check_same(store: EmbeddingStore, document: Document) -> None:
    if store.read_attributes().get("build") != document.ours.get("build"):
        raise RunError(f"{store.uri}: was replaced while it was being verified: verify it again")


def _compare(store: EmbeddingStore, document: Document, engine: Engine, done: Done | None) -> Verified:
    complete = document.ours["status"] == "complete"
    damages = find_missing(store) if complete else []
    damages += _other_metadata(store, document, {damage.key for damage in damages})
    unchecked = _small_arrays(store, document, damages)
    chunks = _rows(store, document, engine, damages, unchecked, done) if "embedding" in document.nodes else 0
    first: dict[str, Damage] = {}
    for damage in damages:
        first.setdefault(damage.key, damage)
    return Verified(
        store.uri, {"arrays": _arrays(document), "chunks of rows": chunks}, sorted(first.values()), unchecked
    )


def _arrays(document: Document) -> int:
    return sum(node["node_type"] == "array" for node in document.nodes.values())


def _other_metadata(store: EmbeddingStore, document: Document, known: set[str]) -> list[Damage]:
    """Arrays whose own zarr.json is unreadable, or says other than the group's: readers of the two would differ."""
    damages = []
    for path, node in sorted(document.nodes.items()):
        key = join(path, ROOT)
        if key in known or store.staged:
            continue
        try:
            found = json.loads(read_bytes(join(store.uri, key)))
            if any(found.get(name) != node.get(name) for name in SHAPING):
                damages.append(Damage(path, key, "says other than the group's own zarr.json"))
        except FileNotFoundError:
            damages.append(Damage(path, key, "is missing"))
        except ValueError:
            damages.append(Damage(path, key, "cannot be read"))
    return damages


def _small_arrays(store: EmbeddingStore, document: Document, damages: list[Damage]) -> list[str]:
    """Arrays of one chunk each; returns those whose hash was not recorded: their checksums are looked at alone."""
    group: Any = document.group(store.uri)
    unchecked = []
    for path, node in sorted(document.nodes.items()):
        if node["node_type"] != "array" or path.partition("/")[0] not in GROUPS:
            continue
        array = group[path]
        key = chunk_key(array, (0,) * array.ndim)
        recorded = document.ours.get(HASHES, {}).get(path)
        try:
            found = hash_array(read_whole(store.uri, array) if document.all_chunks else array[...])
        except DamagedError:
            damages.append(Damage(path, key, "is missing"))
        except ValueError:
            damages.append(Damage(path, key, "has another checksum than its content"))
        else:
            if recorded is None:
                unchecked.append(path)
            elif recorded != found:
                damages.append(Damage(path, key, OTHER_HASH))
    if (sha256 := document.ours.get("map_sha256")) and not any(damage.array.startswith("map") for damage in damages):
        try:
            store.get_map(str(sha256))
            unchecked = [path for path in unchecked if not path.startswith("map/")]  # their common hash is right
        except DamagedError:
            damages.append(Damage("map", join("map", ROOT), OTHER_HASH))
    return unchecked


def _rows(
    store: EmbeddingStore,
    document: Document,
    engine: Engine,
    damages: list[Damage],
    unchecked: list[str],
    done: Done | None,
) -> int:
    group: Any = document.group(store.uri)
    (n, k), step = group["embedding"].shape, group["embedding"].chunks[0]
    records = ChunkRecords.load(store, n, k, step)
    items = records.items(committed=True)
    if document.ours["status"] == "complete" and len(items) < len(records.committed):
        unchecked.append("rows without a record of their content: the table of chunks is damaged")
    names = store.row_arrays()
    for item, found in engine.imap(examine_block, items, store, tuple(names), done=done):
        chunk = item.start // step
        recorded = {name: records.digests[name][chunk].tobytes() for name in names}
        known = any(map(any, recorded.values()))
        for name in names:
            key = chunk_key(group[name], (chunk, *(0,) * (group[name].ndim - 1)))
            what = found.get(name)
            if isinstance(what, str):
                damages.append(Damage(name, key, what, item))
            elif known and what != recorded[name]:
                damages.append(Damage(name, key, OTHER_HASH, item))
        if not known and "" in found and found[""] != records.sha256[chunk].tobytes():
            key = chunk_key(group["embedding"], (chunk, 0))
            damages.append(Damage("embedding", key, f"or another array of these rows {OTHER_HASH}", item))
    return len(items)


def examine_block(item: RowRange, store: EmbeddingStore, names: tuple[str, ...]) -> dict[str, bytes | str]:
    """The digest of each array's part of a chunk, or what is wrong with it; under "" that of all, if all are read."""
    values: dict[str, NDArray[Any]] = {}
    found: dict[str, bytes | str] = {}
    for name in names:
        try:
            values[name] = store.read_array(name, *item)
            found[name] = digest_of(values[name])
        except DamagedError:
            found[name] = "is missing"
        except ValueError:  # of a codec
            found[name] = "has another checksum than its content"
    if len(values) == len(names):
        embedding, residual = values.pop("embedding"), values.pop("residual")
        found[""] = describe(item[0], embedding, residual, values).sha256
    return found

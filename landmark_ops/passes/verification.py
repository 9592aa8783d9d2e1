"""Compare all of an embedding with the hashes recorded when it was committed. Reads everything, writes nothing."""

from __future__ import annotations

from typing import Any, NamedTuple

from numpy.typing import NDArray

from landmark_ops.engine.protocol import Engine
from landmark_ops.errors import DamagedError, RunError
from landmark_ops.row_range import Done, RowRange
from landmark_ops.stores.damage import Damage
from landmark_ops.stores.embeddings.contents import OTHER_HASH, describe, digest_of
from landmark_ops.stores.embeddings.records import ChunkRecords
from landmark_ops.stores.embeddings.store import EmbeddingStore


class Verified(NamedTuple):
    """What was checked, by kind and number, what is damaged, and what has no recorded hash to compare with."""

    uri: str
    checked: dict[str, int]
    damaged: list[Damage]
    unchecked: list[str]


def verify_embedding(store: EmbeddingStore, engine: Engine, done: Done | None = None) -> Verified:
    """Compare every committed chunk, the map, landmarks and the table of chunks with their hashes.

    Raises DamagedError where the group's own metadata cannot be read, which lists everything else, RunError where
    another output was put in its place meanwhile.
    """
    store.read_status()
    attributes = store.read_attributes()
    try:
        found = _compare(store, complete=attributes["status"] == "complete", engine=engine, done=done)
    except Exception:  # two outputs were mixed: the findings mean nothing
        _check_same(store, attributes)
        raise
    _check_same(store, attributes)
    return found


def _check_same(store: EmbeddingStore, attributes: dict[str, Any]) -> None:
    if store.read_attributes().get("build") != attributes.get("build"):
        raise RunError(f"{store.uri}: was replaced while it was being verified: verify it again")


def _compare(store: EmbeddingStore, *, complete: bool, engine: Engine, done: Done | None) -> Verified:
    damages = store.find_missing() if complete else []
    arrays, damaged, unchecked = store.examine()
    damages += damaged
    chunks = _rows(store, complete, engine, damages, unchecked, done) if store.row_arrays() else 0
    first: dict[str, Damage] = {}
    for damage in damages:
        first.setdefault(damage.key, damage)
    return Verified(store.uri, {"arrays": arrays, "chunks of rows": chunks}, sorted(first.values()), unchecked)


def _rows(
    store: EmbeddingStore,
    complete: bool,
    engine: Engine,
    damages: list[Damage],
    unchecked: list[str],
    done: Done | None,
) -> int:
    """Read all committed chunks, adding to `damages` and `unchecked`; how many there are."""
    (n, k), step = store.shape, store.chunk_rows
    records = ChunkRecords.load(store, n, k, step)
    items = records.items(committed=True)
    if complete and len(items) < len(records.committed):
        unchecked.append("rows without a record of their content: the table of chunks is damaged")
    names = store.row_arrays()
    for item, found in engine.imap(examine_block, items, store, tuple(names), done=done):
        chunk = item.start // step
        recorded = {name: records.digests[name][chunk].tobytes() for name in names}
        known = any(map(any, recorded.values()))
        for name in names:
            what = found.get(name)
            if isinstance(what, str):
                damages.append(Damage(name, store.object_of(name, item.start), what, item))
            elif known and what != recorded[name]:
                damages.append(Damage(name, store.object_of(name, item.start), OTHER_HASH, item))
        if not known and "" in found and found[""] != records.sha256[chunk].tobytes():
            key = store.object_of("embedding", item.start)
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

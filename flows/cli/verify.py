"""`landmarks verify URI`: what a run has left, read whole and compared with what was recorded. Writes nothing."""

from __future__ import annotations

from typing import Any

from landmark_ops.engine.protocol import Engine
from landmark_ops.engine.threads import LocalEngine
from landmark_ops.errors import DamagedError, InputError
from landmark_ops.passes.verification import Verified, verify_embedding
from landmark_ops.stores.damage import Damage
from landmark_ops.stores.embeddings.format import OUTPUTS, open_output
from landmark_ops.stores.embeddings.store import EmbeddingStore
from landmark_ops.stores.locations import children, is_folder, join, normalise
from landmark_ops.stores.tables.verified_tables import is_tables, verify_tables


def verify_place(uri: str) -> list[Verified]:
    """Every output at an address: an embedding, those of a run of several methods, or the tables of a detection run.

    Raises InputError where none of them is there.
    """
    uri = normalise(uri)
    if is_tables(uri):
        files, damages = verify_tables(uri)
        return [Verified(uri, {"files": files}, damages, [])]
    stores = embeddings(uri)
    if not stores:
        raise InputError(
            f"{uri}: neither an embedding nor tables of a detection run are there: name the output of a run"
        )
    engine = LocalEngine()
    return [verify(store, engine) for store in stores]


def verify(store: EmbeddingStore, engine: Engine) -> Verified:
    """Verify one embedding; without the group's metadata nothing else of it can be checked."""
    try:
        return verify_embedding(store, engine)
    except DamagedError:
        return Verified(store.uri, {}, [Damage("", store.metadata, "is missing or cannot be read")], [])


def embeddings(uri: str) -> list[EmbeddingStore]:
    """The embedding at an address, or those right below it."""
    below = _below(uri)
    return [store for store in below or [open_output(uri)] if is_ours(store)]


def is_ours(store: EmbeddingStore) -> bool:
    """Whether an embedding of ours is there, whole or not."""
    try:
        return store.read_status() is not None
    except DamagedError:
        return True
    except InputError:
        return False


def _below(uri: str) -> list[EmbeddingStore]:
    if not is_folder(uri):
        return []
    suffixes = tuple(one.suffix for one in OUTPUTS)
    names = [child.name for child in children(uri) if child.is_folder and child.name.endswith(suffixes)]
    return [open_output(join(uri, name)) for name in names]


def as_json(found: list[Verified]) -> dict[str, Any]:
    """The findings as JSON, for other programs."""
    return {
        "whole": not any(one.damaged for one in found),
        "outputs": [
            {
                "uri": one.uri,
                "checked": one.checked,
                "damaged": [
                    {"array": damage.array, "chunk": damage.key, "rows": damage.rows, "what": damage.what}
                    for damage in one.damaged
                ],
                "unchecked": one.unchecked,
            }
            for one in found
        ],
    }


def as_lines(found: list[Verified]) -> list[str]:
    """The findings as lines, for people."""
    lines = []
    for one in found:
        checked = ", ".join(f"{count:,} {kind}" for kind, count in one.checked.items())
        lines.append(f"{'damaged' if one.damaged else 'whole'}  {one.uri}  ({checked})")
        for damage in one.damaged:
            rows = "" if damage.rows is None else f"  rows {damage.rows[0]:,}..{damage.rows[1]:,}"
            lines.append(f"  {damage.key}{rows}  {damage.what}")
        if one.unchecked:
            shown = ", ".join(one.unchecked[:4]) + (", …" if len(one.unchecked) > 4 else "")
            lines.append(f"  no hash on record, checksums alone compared: {shown}")
    return lines

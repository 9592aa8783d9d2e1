"""Whether an output is whole, and how far one in the making has come."""

from __future__ import annotations

from landmark_ops.errors import DamagedError
from landmark_ops.stores.damage import Damage
from landmark_ops.stores.embeddings.store import EmbeddingStore


def raise_for(uri: str, damages: list[Damage]) -> None:
    """DamagedError that names the first of these damages, and what to do; nothing happens where there are none."""
    if not damages:
        return
    more = f", and {len(damages) - 1:,} more" if len(damages) > 1 else ""
    raise DamagedError(
        f"{uri}: the embedding is damaged: {damages[0].key} {damages[0].what}{more}: `landmarks repair` with the "
        "config of the run computes damaged chunks anew from its source, output.overwrite: true all of it"
    )


def count_committed(store: EmbeddingStore) -> tuple[int, int]:
    """How many chunks of rows are committed, and how many there are in all; zeros before there is a map."""
    if not store.row_arrays():
        return 0, 0
    count = -(-store.shape[0] // store.chunk_rows)
    if not store.has("chunks", "committed"):
        return 0, count
    return int(store.get("chunks", ["committed"])["committed"].sum()), count

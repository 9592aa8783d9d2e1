"""Outputs that a run did not finish: whether another run can resume them, and what is kept after a refusal."""

from __future__ import annotations

from landmark_ops.errors import DamagedError
from landmark_ops.stores.embeddings.presence import count_committed
from landmark_ops.stores.embeddings.store import EmbeddingStore
from landmark_ops.stores.locations import exists


def can_resume(store: EmbeddingStore) -> bool:
    """Whether what was begun there can be resumed: its map, landmarks and blocks are whole.

    It must also not write where the output lies that readers see.
    """
    status = store.read_status()
    if status is None or not status.get("map_sha256"):
        return False
    if store.staged and not store.lies_apart():
        return False
    try:
        store.get_map(str(status["map_sha256"]))
        store.get("landmarks")
    except DamagedError:  # only this error: an output that cannot be read right now is kept
        return False
    return status.get("blocks") is None or exists(status["blocks"])


def give_up(store: EmbeddingStore, *, keep: bool) -> bool:
    """After a refusal: let another config replace what was begun, without being told to.

    Committed chunks stay, for when the refusal's cause has gone; without any, all is deleted unless it is to `keep`.
    Returns whether anything stays.
    """
    if store.find_attributes() is None:
        return False
    keep = keep or count_committed(store)[0] > 0
    if keep:
        store.update(refused=True)
    else:
        store.discard()
    return keep

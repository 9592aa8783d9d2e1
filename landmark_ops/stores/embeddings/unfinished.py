"""What a run began and did not finish: whether another goes on with it, and what a refusal leaves of it."""

from __future__ import annotations

from landmark_ops.errors import DamagedError
from landmark_ops.stores.embeddings.presence import count_committed
from landmark_ops.stores.embeddings.store import EmbeddingStore
from landmark_ops.stores.locations import exists


def can_resume(store: EmbeddingStore) -> bool:
    """Whether what was begun there can be gone on with: a map, landmarks and blocks that are whole.

    And nothing of the output that readers see may lie where it writes.
    """
    status = store.read_status()
    if status is None or not status.get("map_sha256"):
        return False
    if store.staged and not store.lies_apart():
        return False
    try:
        store.get_map(str(status["map_sha256"]))
        store.get("landmarks")
    except DamagedError:  # no other: what cannot be read at this moment is not to be given up for it
        return False
    return status.get("blocks") is None or exists(status["blocks"])


def give_up(store: EmbeddingStore, *, keep: bool) -> bool:
    """After a refusal: another config may replace what was begun, without being told to.

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

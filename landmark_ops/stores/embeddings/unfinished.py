"""What a run began and did not finish: whether another goes on with it, and what a refusal leaves of it."""

from __future__ import annotations

from typing import Any

import numpy as np

from landmark_ops.errors import DamagedError
from landmark_ops.stores.embeddings.documents import read_document
from landmark_ops.stores.embeddings.embedding import EmbeddingStore
from landmark_ops.stores.locations import exists


def can_resume(store: EmbeddingStore) -> bool:
    """Whether what was begun there can be gone on with: a map, landmarks and blocks that are whole.

    And no chunk of the output that readers see may lie where it writes: so it is where another was put there meanwhile,
    a copy from elsewhere for instance.
    """
    status = store.read_status()
    if status is None or not status.get("map_sha256"):
        return False
    if store.staged:
        current = read_document(store.uri, store.current.address)
        if current is not None and current.slot == store.document().slot:
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
    document = read_document(store.uri, store.address)
    if document is None:
        return False
    if not keep:
        group: Any = document.group(store.uri)
        keep = "chunks/committed" in document.nodes and bool(np.any(group["chunks/committed"][...]))
    if keep:
        store.update(refused=True)
    else:
        store.discard()
    return keep

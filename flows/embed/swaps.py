"""Work that is left after a run was killed right after its last write."""

from __future__ import annotations

from flows.embed import report_files
from flows.embed.inputs import OpenedRun
from landmark_ops.stores.embeddings.store import EmbeddingStore
from landmark_ops.stores.lock import OutputLock


def finish_swaps(opened: OpenedRun, lock: str) -> None:
    """Tidy up after a run that was killed between its last write and its end."""
    stores = [output.store for output in opened.outputs]
    if any(store.successor.is_there() or report_files.is_waiting(store.uri) for store in stores):
        with OutputLock(lock) as held:
            for store in stores:
                settle(store.fenced(held.fence))


def settle(store: EmbeddingStore) -> None:
    """Finish the swap of a run that was killed right after it: metadata of arrays, and the report."""
    store.settle()
    report_files.settle(store)

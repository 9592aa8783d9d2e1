"""The output of `landmarks inspect`."""

from __future__ import annotations

from landmark_ops.errors import InputError
from landmark_ops.stores.embeddings.format import open_output
from landmark_ops.stores.embeddings.presence import count_committed, raise_for
from landmark_ops.stores.embeddings.store import EmbeddingStore
from landmark_ops.stores.sources.source import open_rows


def describe_place(uri: str, array: str | None, column: str | None) -> list[str]:
    """What lies at `uri`: an embedding with status and quality, or a source."""
    try:
        status = open_output(uri).read_status() if array is None and column is None else None
    except InputError:
        status = None  # something else: a source, perhaps
    if status is None:
        return [open_rows(uri, array=array, column=column).describe()]
    source = status["source"]
    lines = [
        f"{uri}: embedding by {status['method']}, {status['status']}",
        f"source  {source['uri']} {source['shape']}",
    ]
    if "map" in status:
        lines.append(f"map  that of {status['map']['uri']}")
    for name, estimate in status.get("quality", {}).items():
        if isinstance(estimate, dict):
            error = estimate["standard_error"]
            spread = "" if error is None else f" ± {error:.4f}"
            lines.append(f"{name.replace('_', ' ')}  {estimate['value']:.4f}{spread}")
    return [*lines, *describe_chunks(open_output(uri), status["status"] == "complete")]


def describe_chunks(store: EmbeddingStore, complete: bool) -> list[str]:
    """Lines on the chunks of an embedding, and of its successor. DamagedError where a complete one lacks something."""
    if complete:
        raise_for(store.uri, store.find_missing())
    done, count = count_committed(store)
    lines = [f"chunks  {done:,} of {count:,} committed"]
    if complete:
        lines = [f"chunks  all {count:,} there with their sizes, content not checked: landmarks verify {store.uri}"]
    if store.successor.read_status() is not None:
        done, count = count_committed(store.successor)
        lines.append(f"successor  in the making, {done:,} of {count:,} chunks committed")
    return lines

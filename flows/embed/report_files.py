"""The files of an embedding's report: kept beside it as one archive until it is complete, put in their place then.

The report describes the embedding beside it. That of a successor must not be seen before the swap, and must be seen
even if the run is killed right after it: the archive, `<output>.report.next`, says which output it is of, and the next
run that holds the lock puts its files in their place, or deletes it.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from typing import Any

from landmark_ops.stores.embeddings.format import without_suffix
from landmark_ops.stores.embeddings.store import EmbeddingStore
from landmark_ops.stores.locations import is_file, join, read_bytes, remove, write_bytes

PAGE = "index.html"


def report_address(uri: str) -> str:
    """The folder of the report, beside the embedding: out/patches.zarr -> out/patches.report."""
    return f"{without_suffix(uri)}.report"


def waiting_address(uri: str) -> str:
    """The report of an embedding that is not complete yet, one object: out/patches.report.next."""
    return f"{report_address(uri)}.next"


def is_waiting(uri: str) -> bool:
    """Whether a report was drawn that is not in its place."""
    return is_file(waiting_address(uri))


def build_of(status: Mapping[str, Any]) -> str:
    """The number that identifies an output; those begun by an older version have none."""
    return str(status.get("build", ""))


def keep(store: EmbeddingStore, files: Mapping[str, bytes]) -> None:
    """Store the report of the output that is being written at `store`."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.comment = build_of(store.read_attributes()).encode()
        for name, data in files.items():
            archive.writestr(name, data)
    store.check()
    write_bytes(waiting_address(store.uri), content.getvalue())


def settle(store: EmbeddingStore) -> None:
    """Put the report of the complete embedding at `store.uri` in its place; one of anything else is deleted.

    The page holds its pictures, so one write is all that turns the old report into the new one.
    """
    place, waiting = report_address(store.uri), waiting_address(store.uri)
    if not is_waiting(store.uri):
        return
    store.check()
    status = store.current.find_attributes() or {}
    try:
        with zipfile.ZipFile(io.BytesIO(read_bytes(waiting))) as archive:
            if status.get("status") == "complete" and archive.comment.decode() == build_of(status):
                for name in sorted(archive.namelist(), key=lambda name: name != PAGE):
                    write_bytes(join(place, name), archive.read(name))
    except zipfile.BadZipFile:  # not ours, or cut off by a power failure
        pass
    remove(waiting)

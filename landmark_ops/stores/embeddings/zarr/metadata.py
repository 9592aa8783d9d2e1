"""The metadata of a Zarr output: begun, added to and swapped in, each as one write of one object.

Every write asks first whether the run still holds its lock, and is refused where another run has written meanwhile.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import zarr

from landmark_ops.errors import DamagedError, InputError, RunError
from landmark_ops.stores import swaps
from landmark_ops.stores.embeddings.contents import hash_all
from landmark_ops.stores.embeddings.store import EmbeddingStore
from landmark_ops.stores.embeddings.zarr.documents import (
    HASHES,
    KEY,
    ROOT,
    Document,
    read_document,
    remove_stray_nodes,
    walk_nodes,
    write_nodes,
)
from landmark_ops.stores.locations import (
    exists,
    is_empty,
    is_folder,
    join,
    remove,
)
from landmark_ops.stores.slots import free_slot, slot_of, wipe


@dataclass(frozen=True)
class ZarrMetadata(EmbeddingStore):
    """What a Zarr v3 group says of itself: status, attributes, and which groups and arrays there are."""

    metadata = ROOT

    @property
    def address(self) -> str:
        """Where its metadata lies, as one object."""
        return f"{self.uri}.next" if self.staged else join(self.uri, ROOT)

    def is_there(self) -> bool:
        """Whether there is an object of metadata."""
        return exists(self.address)

    def find_attributes(self) -> dict[str, Any] | None:
        """The `landmark_ops` attributes; None where no metadata of ours can be read."""
        found = read_document(self.uri, self.address)
        return None if found is None else found.ours

    def document(self) -> Document:
        """The metadata; RunError where it has gone."""
        found = read_document(self.uri, self.address)
        if found is None:
            raise RunError(f"{self.uri}: the output has gone while it was being used")
        return found

    @property
    def group(self) -> zarr.Group:
        """The Zarr group; RunError where it has gone."""
        return self.document().group(self.uri)

    def read_status(self) -> dict[str, Any] | None:
        """The `landmark_ops` attributes, or None where nothing of ours is there.

        Raises InputError where something else is there: it is never overwritten. DamagedError where it is ours, as its
        arrays show, and its own metadata is damaged.
        """
        found = read_document(self.uri, self.address)
        if found is not None:
            return found.ours
        if not exists(self.address) if self.staged else is_empty(self.uri):
            return None
        what = self.address if self.staged else self.uri
        if not self.staged and is_folder(self.uri) and {"embedding", "map", "landmarks"} <= walk_nodes(self.uri).keys():
            state = "cannot be read" if exists(self.address) else "is missing"
            raise DamagedError(
                f"output {self.uri}: is damaged: its {ROOT} {state}, while its arrays are there: put back a copy of "
                f"that file, or set output.overwrite: true to make the embedding anew"
            )
        raise InputError(
            f"output {what}: holds something that is no embedding of ours and is never overwritten: "
            "choose another output.uri, or move it away"
        )

    def read_attributes(self) -> dict[str, Any]:
        """The `landmark_ops` attributes of the output, which must exist."""
        return self.document().ours

    def lies_apart(self) -> bool:
        """Whether its slot differs from that of the output that readers see.

        It is the same where another output was put there meanwhile, a copy from elsewhere for instance.
        """
        current = read_document(self.uri, self.current.address)
        return current is None or current.slot != self.document().slot

    def create(self, attributes: Mapping[str, Any]) -> None:
        """Begin an output without arrays, `partial`, in a slot that neither the present one nor another run uses.

        It is in place where nothing is there, or nothing worth keeping, which is replaced. Chunks that no
        document names any more go. Raises InputError where nothing can be written.
        """
        self.check()
        try:
            old = None if is_empty(self.uri) else read_document(self.uri, join(self.uri, ROOT))
            other = read_document(self.uri, f"{self.uri}.next")
            there = self._slot_there(old)
            slot = free_slot(there, {document.slot for document in (old, other) if document is not None})
            ours = {**attributes, "status": "partial", "build": uuid.uuid4().hex, "slot": slot}
            self._write(Document({KEY: ours}, {}, swaps.see(self.address)))
            if not is_empty(self.uri):
                kept = there if self.staged else None if other is None else other.slot
                wipe(self.uri, set() if kept is None else {kept})
            if not self.staged:
                remove_stray_nodes(self.uri, self.document().nodes)
        except OSError as error:
            raise InputError(
                f"output {self.uri}: cannot be written: {error.strerror or error}: choose a place you may write to"
            ) from error

    def _slot_there(self, old: Document | None) -> int | None:
        """The slot of the output that readers see now."""
        if old is not None:
            return old.slot
        arrays = [node for node in ({} if is_empty(self.uri) else walk_nodes(self.uri)).values() if "shape" in node]
        return slot_of(arrays[0]) if arrays else None

    def discard(self) -> None:
        """Delete what was begun; of a successor, leave the output beside it."""
        self.check()
        if not self.staged:
            remove(self.uri)
            return
        remove(self.address)
        if (old := read_document(self.uri, join(self.uri, ROOT))) is not None:
            wipe(self.uri, {old.slot})

    def update(self, **attributes: Any) -> None:
        """Merge `attributes` into the `landmark_ops` attributes, one atomic rewrite of the group's metadata."""
        self._write(self.document().changed(attributes))

    def complete(self, **attributes: Any) -> None:
        """Merge `attributes` and turn the status to complete: from this write on readers see this embedding."""
        document = self.document()
        table = hash_all("chunks", self.get("chunks")) if "chunks" in document.nodes else {}
        hashes = {HASHES: {**document.ours.get(HASHES, {}), **table}}
        done = document.changed({**attributes, **hashes, "status": "complete"})
        done.attributes[KEY].pop("refused", None)
        if not self.staged:
            self._write(done)
            return
        current = self.current.fenced(self.fence)
        current._write(replace(done, seen=swaps.see(current.address)))
        current.settle()

    def settle(self) -> None:
        """Finish a swap: the metadata of each array as the group's says, and no trace of a successor that has come."""
        document = read_document(self.uri, join(self.uri, ROOT))
        successor = read_document(self.uri, f"{self.uri}.next")
        if document is None or successor is None or document.ours.get("build") != successor.ours.get("build"):
            return
        self.check()
        write_nodes(self.uri, document.nodes)
        remove_stray_nodes(self.uri, document.nodes)
        remove(f"{self.uri}.next")

    def restore_metadata(self) -> int:
        """Write the metadata of arrays that is missing or unreadable, as the group's own has it; how many files."""
        self.check()
        nodes = self.document().nodes
        known = walk_nodes(self.uri)
        lost = {path: node for path, node in nodes.items() if path not in known}
        write_nodes(self.uri, lost)
        return len(lost)

    def _write(self, document: Document) -> None:
        """Replace the metadata, unless another run has written it meanwhile."""
        self.check()
        if not swaps.replace(self.address, document.to_bytes(), document.seen):
            raise RunError(
                f"output {self.uri}: another run has written {self.address} meanwhile, this one changed nothing there: "
                "run again"
            )

    def _add(self, nodes: Mapping[str, dict[str, Any]], hashes: Mapping[str, str] | None = None) -> None:
        """Put groups and arrays on record, with the hashes of content that will not change any more."""
        document = self.document()
        ours = {HASHES: {**document.ours.get(HASHES, {}), **hashes}} if hashes else {}
        self._write(document.changed(ours, nodes))
        if not self.staged:
            write_nodes(self.uri, nodes)

"""The embedding as a Zarr v3 group, readable with plain zarr: filled by region beside what is there, swapped in last.

    embedding (n, k) float32   residual (n,) float32   labels | prediction, std (n,), where the method has them
    landmarks/{indices, points, embedding, eigenvalues, spectrum}
    map/                       the LandmarkMap         chunks/  what is committed, with content hashes
    attributes: landmark_ops = {version, method, parameters, source, seed, rank, quality, status, ...}

The first output at an address is built in place, its status `partial`; every later one is a successor: its chunks lie
in a slot of their own within the same arrays, its metadata in `<output>.next`, until one write of the group's
metadata turns the old output into the new one (infra/decisions/0026). `status` is `complete` from then on.

One task writes whole chunks, so no two writers ever touch one object; only the process that runs the flow writes
`chunks/` and the attributes. Every write asks first whether the run still holds its lock.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import zarr
from numpy.typing import NDArray

from landmark_ops.errors import DamagedError, InputError, LandmarkOpsError, RunError
from landmark_ops.stores import swaps
from landmark_ops.stores.damage import Damage
from landmark_ops.stores.embeddings.contents import F32, OTHER_HASH, Written, describe, hash_all
from landmark_ops.stores.embeddings.store import ALWAYS, OPTIONAL, EmbeddingStore, Examined
from landmark_ops.stores.embeddings.zarr import examination
from landmark_ops.stores.embeddings.zarr.documents import (
    GROUP,
    HASHES,
    KEY,
    ROOT,
    Document,
    array_node,
    read_document,
    remove_stray_nodes,
    walk_nodes,
    write_nodes,
)
from landmark_ops.stores.embeddings.zarr.whole import read_whole, stored_whole
from landmark_ops.stores.fence import CHECK_SECONDS
from landmark_ops.stores.locations import (
    exists,
    is_empty,
    is_folder,
    join,
    remove,
    stat,
)
from landmark_ops.stores.slots import free_slot, slot_of, wipe


class Arrays(NamedTuple):
    """The arrays of rows, by name. `all_chunks`: each chunk that was written is there, also one of fill values."""

    arrays: dict[str, zarr.Array[Any]]
    all_chunks: bool


@dataclass(frozen=True)
class ZarrStore(EmbeddingStore):
    """One embedding as a Zarr v3 group."""

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

    def row_arrays(self) -> list[str]:
        """Names of the arrays of rows, as far as they were allocated."""
        return list(self._arrays().arrays)

    @property
    def shape(self) -> tuple[int, int]:
        """(n, k) of the embedding."""
        n, k = self._arrays().arrays["embedding"].shape
        return n, k

    @property
    def chunk_rows(self) -> int:
        """Rows of a chunk."""
        return int(self._arrays().arrays["embedding"].chunks[0])

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

    def allocate(
        self,
        n: int,
        k: int,
        chunk_rows: int,
        outputs: Mapping[str, str] | None = None,
        undefined: Mapping[str, float] | None = None,
    ) -> None:
        """Create the arrays of n rows in chunks of `chunk_rows`; crc32c guards every chunk, floats are not compressed.

        `outputs`: name and dtype of each further array of one value per row. `undefined`: what stands in each for rows
        that have no coordinates, kept as its fill value.

        Coordinates are noise to a compressor: 7 to 12 % smaller at twice the time.
        """
        slot, rows = self.document().slot, min(chunk_rows, n)
        nodes = {
            "embedding": array_node(
                slot, (n, k), "float32", (rows, k), fill_value=np.nan, dimension_names=("row", "component")
            )
        }
        for name, dtype in {"residual": "float32", **(outputs or {})}.items():
            fill = (undefined or {}).get(name, np.nan if dtype.startswith("f") else -1)
            nodes[name] = array_node(slot, (n,), dtype, (rows,), fill_value=fill, dimension_names=("row",))
        self._add(nodes)

    def put(
        self,
        group: str,
        arrays: Mapping[str, NDArray[Any]],
        names: Mapping[str, tuple[str, ...]],
        attributes: Mapping[str, Any] | None = None,
    ) -> None:
        """Write small arrays into a subgroup, each as one chunk, with dimension names where given."""
        document = self.document()
        nodes = {
            f"{group}/{name}": array_node(
                document.slot,
                values.shape,
                values.dtype,
                [max(1, size) for size in values.shape],
                dimension_names=names.get(name),
            )
            for name, values in arrays.items()
        }
        nodes[group] = {**GROUP, "attributes": dict(attributes or {})}
        self.check()
        _fill(document.changed({}, nodes).group(self.uri), group, arrays)
        self._add(nodes, None if group == "chunks" else hash_all(group, arrays))

    def overwrite(self, group: str, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Write arrays again: one object each, where making them anew takes 105 requests on S3."""
        self.check()
        _fill(self.group, group, arrays)

    def get(self, group: str, names: Sequence[str] | None = None) -> dict[str, NDArray[Any]]:
        """The arrays of a subgroup, by name; DamagedError where one is damaged."""
        try:
            document = self.document()
            found: Any = document.group(self.uri)[group]
            stored = dict(found.arrays()) if names is None else {name: found[name] for name in names}
            if not document.all_chunks:
                return {name: np.asarray(array[...]) for name, array in stored.items()}
            arrays = {name: read_whole(self.uri, array) for name, array in stored.items()}
            known = document.ours.get(HASHES, {})
            for path, found_hash in hash_all(group, arrays).items():
                if known.get(path, found_hash) != found_hash:
                    raise ValueError(f"the content of {path} has not the hash it was committed with")
            return arrays
        except LandmarkOpsError:  # damage that is reported already, or failing storage
            raise
        except (ValueError, KeyError, FileNotFoundError) as error:  # a failed checksum, or parts that are not there
            raise DamagedError(
                f"{self.uri}: {group}/ is damaged ({error}): run again with output.overwrite: true"
            ) from error

    def get_attributes(self, group: str) -> dict[str, Any]:
        """The attributes that a subgroup was put with."""
        return dict(self.document().nodes.get(group, {}).get("attributes", {}))

    def has(self, group: str, *names: str) -> bool:
        """Whether these arrays were put into a subgroup."""
        return {f"{group}/{name}" for name in names} <= self.document().nodes.keys()

    def write(
        self, start: int, embedding: F32, residual: F32, outputs: Mapping[str, NDArray[Any]] | None = None
    ) -> Written:
        """Commit the chunk that begins at row `start`, and describe it. `outputs`: those that were allocated.

        Raises RunError where it cannot be written, and where the output has gone meanwhile.
        """
        stop = start + len(residual)
        self.check(CHECK_SECONDS)
        arrays = self._arrays().arrays
        columns = {"embedding": embedding, "residual": residual, **(outputs or {})}
        try:
            for name, values in columns.items():
                arrays[name][start:stop] = values
        except (FileNotFoundError, FileExistsError) as error:  # its folder went, perhaps while it was made
            raise RunError(f"{self.uri}: the output has gone while it was being used") from error
        except OSError as error:
            raise RunError(
                f"output {self.uri}: rows {start}..{stop} cannot be written: {error.strerror or error}: "
                "free some space or permit writing, then run again to resume"
            ) from error
        return describe(start, embedding, residual, outputs)

    def read_array(self, name: str, start: int, stop: int) -> NDArray[Any]:
        """Rows start..stop of one of them; DamagedError where a chunk is missing."""
        opened = self._arrays()
        array = opened.arrays[name]
        return read_whole(self.uri, array, start, stop) if opened.all_chunks else np.asarray(array[start:stop])

    def find_missing(self) -> list[Damage]:
        """What a complete output lacks: metadata of arrays, and chunks, or those of another size than was written."""
        return examination.find_missing(self.uri, self.document())

    def examine(self) -> Examined:
        """The metadata of each array, and all small arrays."""
        document = self.document()
        found = examination.examine(self.uri, document, staged=self.staged)
        sha256 = document.ours.get("map_sha256")
        if not sha256 or any(damage.array.startswith("map") for damage in found.damaged):
            return found
        try:
            self.get_map(str(sha256))
        except DamagedError:
            return found._replace(damaged=[*found.damaged, Damage("map", join("map", ROOT), OTHER_HASH)])
        return found._replace(unchecked=[path for path in found.unchecked if not path.startswith("map/")])

    def object_of(self, name: str, start: int) -> str:
        """The chunk of an array that begins at row `start`."""
        array = self._arrays().arrays[name]
        return examination.chunk_key(array, (start // array.chunks[0], *(0 for _ in array.shape[1:])))

    def _arrays(self) -> Arrays:
        try:
            return _open_arrays(self.uri, self.staged, stat(self.address).version)
        except FileNotFoundError as error:
            raise RunError(f"{self.uri}: the output has gone while it was being used") from error


def _fill(root: zarr.Group, group: str, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write arrays that are on record, in order."""
    target: Any = root
    for name, values in arrays.items():
        stored_whole(target[f"{group}/{name}"])[...] = values


@lru_cache(maxsize=8)
def _open_arrays(uri: str, staged: bool, version: str) -> Arrays:
    """The arrays of rows, opened once per process and version of the metadata: a process may see it replaced."""
    document = ZarrStore(uri, staged).document()
    group: Any = document.group(uri)
    names = [name for name in (*ALWAYS, *OPTIONAL) if name in document.nodes]
    return Arrays({name: stored_whole(group[name]) for name in names}, document.all_chunks)

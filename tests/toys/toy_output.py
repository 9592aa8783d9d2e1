"""An output format: a folder of .npz files, one per group and per range of rows, and one JSON document of attributes.

Each embedding has a folder of its own below the output, named by its build; the document says which is read.
"""

from __future__ import annotations

import io
import json
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from landmark_ops.errors import DamagedError, InputError, RunError
from landmark_ops.stores.damage import Damage
from landmark_ops.stores.embeddings.contents import F32, Written, describe
from landmark_ops.stores.embeddings.format import OUTPUTS, OutputFormat
from landmark_ops.stores.embeddings.store import EmbeddingStore, Examined
from landmark_ops.stores.locations import exists, is_empty, is_file, join, read_bytes, remove, write_bytes

DOCUMENT = "embedding.json"


class FolderStore(EmbeddingStore):
    metadata = DOCUMENT

    @property
    def document(self) -> str:
        return join(self.uri, "next.json" if self.staged else DOCUMENT)

    def is_there(self) -> bool:
        return is_file(self.document)

    def find_attributes(self) -> dict[str, Any] | None:
        try:
            return dict(json.loads(read_bytes(self.document)))
        except (FileNotFoundError, ValueError):
            return None

    def read_status(self) -> dict[str, Any] | None:
        found = self.find_attributes()
        if found is None and not self.staged and not is_empty(self.uri):
            raise InputError(f"output {self.uri}: holds something that is no embedding of ours")
        return found

    def read_attributes(self) -> dict[str, Any]:
        found = self.find_attributes()
        if found is None:
            raise RunError(f"{self.uri}: the output has gone while it was being used")
        return found

    def row_arrays(self) -> list[str]:
        return list(self.read_attributes().get("arrays", []))

    @property
    def shape(self) -> tuple[int, int]:
        n, k = self.read_attributes()["shape"]
        return n, k

    @property
    def chunk_rows(self) -> int:
        return min(int(self.read_attributes()["step"]), self.shape[0])

    def lies_apart(self) -> bool:
        return True

    def create(self, attributes: Mapping[str, Any]) -> None:
        self._write({**attributes, "status": "partial", "build": uuid.uuid4().hex})

    def update(self, **attributes: Any) -> None:
        self._write({**self.read_attributes(), **attributes})

    def _write(self, attributes: Mapping[str, Any]) -> None:
        self.check()
        write_bytes(self.document, json.dumps(attributes).encode())

    def put(
        self,
        group: str,
        arrays: Mapping[str, NDArray[Any]],
        names: Mapping[str, tuple[str, ...]],
        attributes: Mapping[str, Any] | None = None,
    ) -> None:
        self.check()
        self._save(group, {**(self._load(group) if self.has(group) else {}), **arrays})
        self.update(**{f"of {group}": dict(attributes or {})})

    def overwrite(self, group: str, arrays: Mapping[str, NDArray[Any]]) -> None:
        self.check()
        self._save(group, arrays)

    def allocate(
        self,
        n: int,
        k: int,
        chunk_rows: int,
        outputs: Mapping[str, str] | None = None,
        undefined: Mapping[str, float] | None = None,
    ) -> None:
        self.update(shape=[n, k], step=chunk_rows, arrays=["embedding", "residual", *(outputs or {})])

    def complete(self, **attributes: Any) -> None:
        done = {**self.read_attributes(), **attributes, "status": "complete"}
        self.current.fenced(self.fence)._write(done)
        self.current.settle()

    def settle(self) -> None:
        successor = self.successor.find_attributes()
        if successor and successor["build"] == self.current.read_attributes()["build"]:
            remove(self.successor.document)

    def discard(self) -> None:
        remove(join(self.uri, self.read_attributes()["build"]))
        remove(self.document)

    def restore_metadata(self) -> int:
        return 0

    def write(
        self, start: int, embedding: F32, residual: F32, outputs: Mapping[str, NDArray[Any]] | None = None
    ) -> Written:
        self.check(5.0)
        self._save(f"rows-{start}", {"embedding": embedding, "residual": residual, **(outputs or {})})
        return describe(start, embedding, residual, outputs)

    def get(self, group: str, names: Sequence[str] | None = None) -> dict[str, NDArray[Any]]:
        found = self._load(group)
        return found if names is None else {name: found[name] for name in names}

    def get_attributes(self, group: str) -> dict[str, Any]:
        return dict(self.read_attributes().get(f"of {group}", {}))

    def has(self, group: str, *names: str) -> bool:
        return exists(self._place(group)) and set(names) <= self._load(group).keys()

    def read_array(self, name: str, start: int, stop: int) -> NDArray[Any]:
        step = self.chunk_rows
        first = start // step * step
        parts = [self._load(f"rows-{at}")[name] for at in range(first, stop, step)]
        return np.asarray(np.concatenate(parts)[start - first : stop - first])

    def find_missing(self) -> list[Damage]:
        return [
            Damage("embedding", self.object_of("embedding", at), "is missing", (at, min(at + self.chunk_rows, n)))
            for n in [self.shape[0]]
            for at in range(0, n, self.chunk_rows)
            if not is_file(self._place(f"rows-{at}"))
        ]

    def examine(self) -> Examined:
        return Examined(3, [], ["map", "landmarks", "chunks"])

    def object_of(self, name: str, start: int) -> str:
        return self._place(f"rows-{start}").removeprefix(f"{self.uri}/")

    def _place(self, name: str) -> str:
        return join(self.uri, self.read_attributes()["build"], f"{name}.npz")

    def _save(self, name: str, arrays: Mapping[str, NDArray[Any]]) -> None:
        content = io.BytesIO()
        np.savez(content, **dict(arrays))  # type: ignore[arg-type]
        write_bytes(self._place(name), content.getvalue())

    def _load(self, name: str) -> dict[str, NDArray[Any]]:
        try:
            with np.load(io.BytesIO(read_bytes(self._place(name)))) as stored:
                return dict(stored)
        except FileNotFoundError as error:
            raise DamagedError(f"{self._place(name)}: is missing") from error


class FolderFormat(OutputFormat):
    name = "folder"
    suffix = ".folder"

    def store(self, uri: str) -> EmbeddingStore:
        return FolderStore(uri)

    def lies_at(self, uri: str) -> bool:
        return is_file(join(uri, DOCUMENT))


OUTPUTS.register(FolderFormat())

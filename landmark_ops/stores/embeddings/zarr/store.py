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

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import zarr
from numpy.typing import NDArray

from landmark_ops.errors import DamagedError, LandmarkOpsError, RunError
from landmark_ops.stores.damage import Damage
from landmark_ops.stores.embeddings.contents import F32, OTHER_HASH, Written, describe, hash_all
from landmark_ops.stores.embeddings.store import ALWAYS, OPTIONAL, Examined
from landmark_ops.stores.embeddings.zarr import examination
from landmark_ops.stores.embeddings.zarr.documents import (
    GROUP,
    HASHES,
    ROOT,
    array_node,
)
from landmark_ops.stores.embeddings.zarr.metadata import ZarrMetadata
from landmark_ops.stores.embeddings.zarr.whole import read_whole, stored_whole
from landmark_ops.stores.fence import CHECK_SECONDS
from landmark_ops.stores.locations import (
    join,
    stat,
)


class Arrays(NamedTuple):
    """The arrays of rows, by name. `all_chunks`: each chunk that was written is there, also one of fill values."""

    arrays: dict[str, zarr.Array[Any]]
    all_chunks: bool


@dataclass(frozen=True)
class ZarrStore(ZarrMetadata):
    """One embedding as a Zarr v3 group."""

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

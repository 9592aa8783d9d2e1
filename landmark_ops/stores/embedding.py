"""The embedding as a Zarr v3 group, readable with plain zarr: created first, filled by region, complete last.

    embedding (n, k) float32   residual (n,) float32   labels | prediction, std (n,), where the method has them
    landmarks/{indices, points, embedding, eigenvalues, spectrum}
    map/                       the LandmarkMap         chunks/  what is committed, with content hashes
    attributes: landmark_ops = {version, method, parameters, source, seed, rank, quality, status, ...}

One task writes whole chunks, so no two writers ever touch one object; only the process that runs the flow writes
`chunks/` and the attributes. `status` turns from `partial` to `complete` as the very last write.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Literal, NamedTuple

import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.codecs import Crc32cCodec

from landmark_ops.errors import InputError, RunError
from landmark_ops.stores.locations import (
    children,
    exists,
    is_empty,
    join,
    normalise,
    remove,
    stat,
)
from landmark_ops.stores.output_store import open_store

KEY = "landmark_ops"
ALWAYS = ("embedding", "residual")
OPTIONAL = ("labels", "prediction", "std")
F32 = NDArray[np.float32]


class Written(NamedTuple):
    """What a task tells of the chunk it committed."""

    sha256: bytes
    bad_rows: int  # rows without coordinates
    first_bad: int  # global row index of the first of them, -1 if none
    low: F32  # (k,) smallest and
    high: F32  # (k,) largest coordinates, NaN rows aside


class EmbeddingStore:
    """One embedding, being written or finished, at `uri`."""

    def __init__(self, uri: str) -> None:
        self.uri = normalise(uri)

    @property
    def group(self) -> zarr.Group:
        """The Zarr group; RunError where it has gone."""
        try:
            return open_group(self.uri, "r+")
        except FileNotFoundError as error:
            raise RunError(f"{self.uri}: the output has gone while it was being written") from error

    def read_status(self) -> dict[str, Any] | None:
        """The `landmark_ops` attributes, or None where nothing of ours is there.

        Raises InputError where something else is there: it is never overwritten.
        """
        if not exists(self.uri):
            return None
        try:
            attributes = dict(open_group(self.uri, "r").attrs)
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            attributes = {}
        if isinstance(ours := attributes.get(KEY), dict):
            return dict(ours)
        if is_empty(self.uri):
            return None
        raise InputError(
            f"output {self.uri}: holds something that is no embedding of ours and is never overwritten: "
            "choose another output.uri, or move it away"
        )

    def read_attributes(self) -> dict[str, Any]:
        """The `landmark_ops` attributes of the output, which must exist."""
        return dict(self.group.attrs[KEY])  # type: ignore[arg-type]

    @property
    def shape(self) -> tuple[int, int]:
        """(n, k) of the embedding."""
        n, k = open_group(self.uri, "r")["embedding"].shape  # type: ignore[union-attr]
        return n, k

    def create(self, attributes: Mapping[str, Any]) -> None:
        """Make an empty group with status `partial`, replacing an embedding of ours. InputError if it cannot be.

        The attributes go first, in one write: after a crash in here the output still is ours, and partial.
        """
        ours: dict[str, Any] = {KEY: {**attributes, "status": "partial"}}
        try:
            if is_empty(self.uri):
                zarr.create_group(store=store_of(self.uri), zarr_format=3, attributes=ours)
                return
            self.group.attrs.put(ours)
            for child in children(self.uri):
                if child.name != "zarr.json":
                    remove(join(self.uri, child.name))
        except OSError as error:
            raise InputError(
                f"output {self.uri}: cannot be written: {error.strerror or error}: choose a place you may write to"
            ) from error

    def discard(self) -> None:
        """Delete the output."""
        remove(self.uri)

    def update(self, **attributes: Any) -> None:
        """Merge `attributes` into the `landmark_ops` attributes, one atomic rewrite of the group's metadata."""
        group = self.group
        group.attrs[KEY] = {**dict(group.attrs[KEY]), **attributes}  # type: ignore[arg-type]

    def allocate(self, n: int, k: int, chunk_rows: int, outputs: Mapping[str, str] | None = None) -> None:
        """Create the arrays of n rows in chunks of `chunk_rows`; crc32c guards every chunk, floats are not compressed.

        `outputs`: name and dtype of each further array of one value per row.

        Coordinates are noise to a compressor: 7 to 12 % smaller at twice the time.
        """
        group = self.group
        options: dict[str, Any] = {"dtype": "float32", "fill_value": np.nan, "compressors": [Crc32cCodec()]}
        rows = min(chunk_rows, n)
        group.create_array("embedding", shape=(n, k), chunks=(rows, k), dimension_names=["row", "component"], **options)
        for name, dtype in {"residual": "float32", **(outputs or {})}.items():
            options |= {"dtype": dtype, "fill_value": np.nan if dtype.startswith("f") else -1}
            group.create_array(name, shape=(n,), chunks=(rows,), dimension_names=["row"], **options)

    def put(
        self, group: str, arrays: Mapping[str, NDArray[Any]], names: Mapping[str, tuple[str, ...]]
    ) -> dict[str, zarr.Array[Any]]:
        """Write small arrays into a subgroup, each as one chunk, with dimension names where given; returns them."""
        target = self.group.require_group(group)
        written = {}
        for name, values in arrays.items():
            dimensions = names.get(name)
            array = target.create_array(
                name,
                shape=values.shape,
                dtype=values.dtype,
                chunks=tuple(max(1, size) for size in values.shape),
                compressors=[Crc32cCodec()],
                dimension_names=list(dimensions) if dimensions else None,
                overwrite=True,
            )
            array[...] = values
            written[name] = array
        return written

    def get(self, group: str) -> dict[str, NDArray[Any]]:
        """The arrays of a subgroup, by name."""
        found: Any = open_group(self.uri, "r")[group]
        return {name: np.asarray(array[...]) for name, array in found.arrays()}

    def put_map(self, arrays: Mapping[str, NDArray[Any]], meta: Mapping[str, Any]) -> str:
        """Store the state of a LandmarkMap; returns its content hash, by which workers cache it."""
        self.put("map", arrays, {})
        sha256 = _hash_map(arrays, meta)
        self.group.require_group("map").attrs["landmark_map"] = {**meta, "sha256": sha256}
        return sha256

    def get_map(self, sha256: str) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """The stored state of the map; RunError unless its content has the given hash."""
        try:
            arrays = self.get("map")
            group: Any = open_group(self.uri, "r")["map"]
            meta = {key: value for key, value in group.attrs["landmark_map"].items() if key != "sha256"}
            found = _hash_map(arrays, meta)
        except (ValueError, KeyError, FileNotFoundError) as error:  # a failed checksum, or parts that are not there
            found = str(error)
        if found != sha256:
            raise RunError(
                f"{self.uri}: the stored map has not the hash {sha256[:12]} it was committed with, it is damaged: "
                "run again with output.overwrite: true"
            )
        return arrays, meta

    def write(
        self, start: int, embedding: F32, residual: F32, outputs: Mapping[str, NDArray[Any]] | None = None
    ) -> Written:
        """Commit the chunk that begins at row `start`, and describe it. `outputs`: those that were allocated."""
        stop = start + len(residual)
        arrays = self._arrays()
        columns = {"embedding": embedding, "residual": residual, **(outputs or {})}
        try:
            for name, values in columns.items():
                arrays[name][start:stop] = values
        except FileNotFoundError as error:  # its folder went between opening and writing
            raise RunError(f"{self.uri}: the output has gone while it was being used") from error
        except OSError as error:
            raise RunError(
                f"output {self.uri}: rows {start}..{stop} cannot be written: {error.strerror or error}: "
                "free some space or permit writing, then run again to resume"
            ) from error
        return describe(start, embedding, residual, outputs)

    def read(self, start: int, stop: int) -> tuple[F32, F32]:
        """Embedding and residual of rows start..stop."""
        arrays = self._arrays()
        return np.asarray(arrays["embedding"][start:stop]), np.asarray(arrays["residual"][start:stop])

    def read_outputs(self, start: int, stop: int) -> dict[str, NDArray[Any]]:
        """What else was written of rows start..stop: labels, prediction and std; empty for most methods."""
        arrays = self._arrays()
        return {name: np.asarray(array[start:stop]) for name, array in arrays.items() if name not in ALWAYS}

    def _arrays(self) -> dict[str, zarr.Array[Any]]:
        try:
            return _open_arrays(self.uri, stat(join(self.uri, "embedding", "zarr.json")).version)
        except FileNotFoundError as error:
            raise RunError(f"{self.uri}: the output has gone while it was being used") from error


def store_of(uri: str) -> Any:
    """The zarr store at a local path or s3:// address."""
    return open_store(uri)


def open_group(uri: str, mode: Literal["r", "r+"]) -> zarr.Group:
    """The Zarr v3 group at `uri`."""
    return zarr.open_group(store=store_of(uri), mode=mode, zarr_format=3, use_consolidated=False)


def describe(start: int, embedding: F32, residual: F32, outputs: Mapping[str, NDArray[Any]] | None = None) -> Written:
    """Content hash and extent of a chunk: what `EmbeddingStore.write` returns and a resumed run verifies."""
    digest = hashlib.sha256(np.ascontiguousarray(embedding, "<f4").data)
    digest.update(np.ascontiguousarray(residual, "<f4").data)
    for name, values in sorted((outputs or {}).items()):
        digest.update(name.encode())
        digest.update(np.ascontiguousarray(values).data)
    # one product and not k comparisons: a NaN in a row makes its sum so, and nothing else does, Inf never being written
    bad = np.flatnonzero(np.isnan(embedding @ np.ones(embedding.shape[1], embedding.dtype)))
    good = embedding if len(bad) == 0 else np.delete(embedding, bad, axis=0)
    columns = np.ascontiguousarray(good.T)  # reducing rows of ten numbers column by column takes five times as long
    nothing = np.full(embedding.shape[1], np.nan, np.float32)
    return Written(
        digest.digest(),
        len(bad),
        start + int(bad[0]) if len(bad) else -1,
        columns.min(axis=1) if len(good) else nothing,
        columns.max(axis=1) if len(good) else nothing,
    )


@lru_cache(maxsize=8)
def _open_arrays(uri: str, version: str) -> dict[str, zarr.Array[Any]]:
    """The arrays of rows, opened once per process and `allocate`: a process may see its output replaced."""
    group = open_group(uri, "r+")
    there = {name: group[name] for name in ALWAYS} | {name: group[name] for name in OPTIONAL if name in group}
    return there  # type: ignore[return-value]


def _hash_map(arrays: Mapping[str, NDArray[Any]], meta: Mapping[str, Any]) -> str:
    digest = hashlib.sha256(json.dumps(meta, sort_keys=True).encode())
    for name in sorted(arrays):
        digest.update(np.ascontiguousarray(arrays[name]).tobytes())
    return digest.hexdigest()

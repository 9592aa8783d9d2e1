"""The metadata of an output as one JSON document: attributes of the group, and the metadata of every array.

It is the group's own zarr.json with Zarr's consolidated metadata, so one write of it is all that turns the old output
into the new one: plain zarr and xarray read the consolidated part. The zarr.json of each array holds the same, for
readers that look there. The document of a successor that is being built lies beside the output, `<output>.next`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import zarr
from zarr.codecs import Crc32cCodec

from landmark_ops.stores.locations import children, join, read_bytes, remove_objects, write_bytes
from landmark_ops.stores.slots import ENCODINGS, GROUPS, slot_of
from landmark_ops.stores.swaps import Seen, see
from landmark_ops.stores.zarr_store import open_store

KEY = "landmark_ops"
HASHES = "sha256"  # attribute: the hash of each small array, by its path
ROOT = "zarr.json"
GROUP: dict[str, Any] = {"zarr_format": 3, "node_type": "group", "attributes": {}}


@dataclass(frozen=True)
class Document:
    """`attributes`: all of the group's, ours under `landmark_ops`. `nodes`: metadata of groups and arrays by path."""

    attributes: Mapping[str, Any]
    nodes: Mapping[str, dict[str, Any]]
    seen: Seen | None = None  # as it was read

    @property
    def ours(self) -> dict[str, Any]:
        """The `landmark_ops` attributes."""
        return dict(self.attributes[KEY])

    @property
    def slot(self) -> int:
        """Where its chunks lie."""
        arrays = [node for node in self.nodes.values() if node["node_type"] == "array"]
        return int(self.attributes[KEY].get("slot", slot_of(arrays[0]) if arrays else 0))

    @property
    def all_chunks(self) -> bool:
        """Whether chunks of nothing but fill values are stored as well: not in outputs of older versions."""
        return "build" in self.attributes[KEY]

    def changed(self, ours: Mapping[str, Any], nodes: Mapping[str, dict[str, Any]] | None = None) -> Document:
        """With further attributes of ours, and further nodes."""
        attributes = {**self.attributes, KEY: {**self.attributes[KEY], **ours}}
        return replace(self, attributes=attributes, nodes={**self.nodes, **(nodes or {})})

    def to_bytes(self) -> bytes:
        """The zarr.json of the group."""
        nodes = {"kind": "inline", "must_understand": False, "metadata": dict(sorted(self.nodes.items()))}
        content = {**GROUP, "attributes": dict(self.attributes), "consolidated_metadata": nodes}
        return json.dumps(content, indent=1).encode()

    def group(self, uri: str) -> zarr.Group:
        """The Zarr group at `uri` with this metadata, whatever is written there now."""
        place = zarr.storage.StorePath(open_store(uri))
        return zarr.Group(zarr.AsyncGroup.from_dict(place, json.loads(self.to_bytes())))


def read_document(uri: str, address: str) -> Document | None:
    """The document at `address` of the output at `uri`; None where none of ours is there.

    Raises RunError where it is one of ours and damaged.
    """
    try:
        seen = see(address)
    except NotADirectoryError:
        return None
    if seen is None:
        return None
    try:
        content = json.loads(seen.content)
        attributes = content["attributes"]
        ours = isinstance(attributes[KEY], dict) and content["zarr_format"] == 3
    except (ValueError, KeyError, TypeError):
        return None
    if not ours:
        return None
    nodes = (content.get("consolidated_metadata") or {}).get("metadata")
    return Document(attributes, walk_nodes(uri) if nodes is None else nodes, seen)


def walk_nodes(uri: str, folder: str = "") -> dict[str, dict[str, Any]]:
    """Metadata of groups and arrays below a folder of an output made before documents were: one zarr.json each."""
    nodes: dict[str, dict[str, Any]] = {}
    for child in children(join(uri, folder)):
        path = f"{folder}/{child.name}" if folder else child.name
        if not child.is_folder:
            continue
        try:
            nodes[path] = json.loads(read_bytes(join(uri, path, ROOT)))
        except (FileNotFoundError, ValueError):
            continue
        if path in GROUPS:
            nodes |= walk_nodes(uri, path)
    return nodes


def write_nodes(uri: str, nodes: Mapping[str, dict[str, Any]]) -> None:
    """Write the metadata of groups and arrays, one zarr.json each."""
    for path, node in nodes.items():
        write_bytes(join(uri, path, ROOT), json.dumps(node, indent=1).encode())


def remove_stray_nodes(uri: str, nodes: Mapping[str, dict[str, Any]]) -> None:
    """Delete the metadata of groups and arrays that are not among `nodes`, the output's own."""
    remove_objects(uri, [f"{path}/{ROOT}" for path in walk_nodes(uri) if path not in nodes])


def array_node(
    slot: int,
    shape: Sequence[int],
    dtype: Any,
    chunks: Sequence[int],
    *,
    fill_value: Any = 0,
    dimension_names: Sequence[str] | None = None,
) -> dict[str, Any]:
    """Metadata of an array whose chunks lie in `slot`: uncompressed, crc32c guards each."""
    store = zarr.storage.MemoryStore()
    array: Any = zarr.create_array(
        store,
        shape=tuple(shape),
        dtype=dtype,
        chunks=tuple(chunks),
        fill_value=fill_value,
        compressors=[Crc32cCodec()],
        dimension_names=list(dimension_names) if dimension_names else None,
        chunk_key_encoding=ENCODINGS[slot],
    )
    return json.loads(json.dumps(array.metadata.to_dict()))

"""Arrays as zarr opens them for reading, and metadata of their stores."""

from __future__ import annotations

import hashlib
import warnings
from pathlib import Path
from typing import Any

import zarr
from zarr.core.buffer import default_buffer_prototype
from zarr.core.sync import sync  # stores are bound to zarr's event loop: only its own sync may drive them

from landmark_ops.errors import InputError
from landmark_ops.stores import locations
from landmark_ops.stores.sources import zarr_meta


def open_array(uri: str, document: zarr_meta.Document) -> zarr.Array[Any]:
    """The array at an address, by its metadata, whose codecs have been checked. InputError where zarr refuses it."""
    store: Any
    if locations.is_remote(uri):
        store = zarr.storage.FsspecStore.from_url(uri, storage_options=locations.storage_options(uri), read_only=True)
    else:
        store = zarr.storage.LocalStore(Path(uri), read_only=True)
    try:
        with warnings.catch_warnings():
            # Both are about writing; the array is only read, and its codecs have been checked against our list.
            warnings.filterwarnings("ignore", message="Numcodecs codecs are not in the Zarr version 3")
            warnings.filterwarnings("ignore", message="Found an empty list of filters")
            if zarr_meta.is_bfloat16(document):
                metadata: Any = zarr_meta.carried(document)
                return zarr.Array(zarr.AsyncArray(metadata, zarr.storage.StorePath(store)))
            return zarr.open_array(store, mode="r", zarr_format=document["zarr_format"])
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{uri}: zarr cannot open it ({error}): the array's metadata is damaged") from error


def list_contents(array: zarr.Array[Any]) -> list[locations.StoredObject]:
    """The objects of an open array, each with the sha256 of its content for a version: for stores without one."""
    return sync(_list_contents(array.store, array.path))


async def _list_contents(store: Any, path: str) -> list[locations.StoredObject]:
    found = []
    async for key in store.list_prefix(f"{path}/" if path else ""):
        data = (await store.get(key, default_buffer_prototype())).to_bytes()
        found.append(locations.StoredObject(key, len(data), hashlib.sha256(data).hexdigest()))
    return found


def document_of(array: zarr.Array[Any]) -> zarr_meta.Document:
    """The metadata document of an open array, as `read_document` gives it for an address."""
    return {"node_type": "array", **array.metadata.to_dict()}


def without_attributes(document: zarr_meta.Document) -> zarr_meta.Document:
    """The part of a document that says how numbers are stored."""
    return {key: value for key, value in document.items() if key != "attributes"}


def address_of(array: zarr.Array[Any]) -> str:
    """Where an open array lies, for messages and provenance."""
    store = array.store
    if isinstance(store, zarr.storage.LocalStore):
        return locations.join(str(store.root), array.path)
    if isinstance(store, zarr.storage.FsspecStore):
        protocol = store.fs.protocol if isinstance(store.fs.protocol, str) else store.fs.protocol[0]
        return locations.join(f"{protocol}://{store.path.strip('/')}", array.path)
    return f"<zarr array {array.path or '/'} in {type(store).__name__}>"

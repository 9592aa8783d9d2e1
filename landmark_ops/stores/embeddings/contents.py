"""Hashes and extents of stored content, by which a chunk or a map is verified later."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

F32 = NDArray[np.float32]
OTHER_HASH = "has not the hash it was committed with"  # of damage


class Written(NamedTuple):
    """What a task reports of the chunk it committed."""

    sha256: bytes
    bad_rows: int  # rows without coordinates
    first_bad: int  # global row index of the first of them, -1 if none
    low: F32  # (k,) smallest and
    high: F32  # (k,) largest coordinates, NaN rows aside
    digests: Mapping[str, bytes] = MappingProxyType({})  # sha256 of each array's part, by the array's name


def describe(start: int, embedding: F32, residual: F32, outputs: Mapping[str, NDArray[Any]] | None = None) -> Written:
    """Content hash and extent of a chunk: what `EmbeddingStore.write` returns and a resumed run verifies."""
    digest = hashlib.sha256(np.ascontiguousarray(embedding, "<f4").data)
    digests = {"embedding": digest.digest()}  # of all that was taken in so far, as by `digest_of`: costs nothing
    digest.update(np.ascontiguousarray(residual, "<f4").data)
    digests["residual"] = digest_of(residual)
    for name, values in sorted((outputs or {}).items()):
        digest.update(name.encode())
        digest.update(np.ascontiguousarray(values).data)
        digests[name] = digest_of(values)
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
        digests,
    )


def digest_of(values: NDArray[Any]) -> bytes:
    """sha256 of an array's part of a chunk."""
    return hashlib.sha256(np.ascontiguousarray(values, values.dtype.newbyteorder("<")).data).digest()


def hash_array(values: NDArray[Any]) -> str:
    """Hex digest of an array's type, shape and content."""
    digest = hashlib.sha256(f"{values.dtype.newbyteorder('<').str} {values.shape}".encode())
    digest.update(np.ascontiguousarray(values, values.dtype.newbyteorder("<")).data)
    return digest.hexdigest()


def hash_map(arrays: Mapping[str, NDArray[Any]], meta: Mapping[str, Any]) -> str:
    """Hex digest of the state of a LandmarkMap."""
    digest = hashlib.sha256(json.dumps(meta, sort_keys=True).encode())
    for name in sorted(arrays):
        digest.update(np.ascontiguousarray(arrays[name]).tobytes())
    return digest.hexdigest()


def hash_all(group: str, arrays: Mapping[str, NDArray[Any]]) -> dict[str, str]:
    """Hashes of the arrays of a group, by path."""
    return {f"{group}/{name}": hash_array(values) for name, values in arrays.items()}

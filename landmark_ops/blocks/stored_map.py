"""The map of an embedding, read from storage where it is needed: by workers per task, by people afterwards."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import numpy as np

from landmark_ops.errors import InputError
from landmark_ops.numerics.landmark_map import LandmarkMap
from landmark_ops.stores.embedding import EmbeddingStore


@lru_cache(maxsize=8)
def load_map(store: EmbeddingStore, sha256: str) -> LandmarkMap:
    """The map with this content hash in an embedding, read once per process.

    Workers call this per task: one that is new, or lost its memory, reads the map again.
    """
    return LandmarkMap.from_state(*store.get_map(sha256))


@lru_cache(maxsize=8)
def load_maps(stored: tuple[tuple[EmbeddingStore, str], ...]) -> list[LandmarkMap]:
    """Several maps by embedding and hash; those of equal landmarks hold the same array, so that they share blocks."""
    maps: list[LandmarkMap] = []
    for store, sha256 in stored:
        fitted = load_map(store, sha256)
        same = next((one.landmarks for one in maps if np.array_equal(one.landmarks, fitted.landmarks)), None)
        maps.append(fitted if same is None else replace(fitted, landmarks=same))
    return maps


def open_map(uri: str) -> LandmarkMap:
    """The fitted map of a complete embedding, to place new rows with: `open_map("out/patches.zarr")(X)`.

    Raises InputError where there is no complete embedding.
    """
    store = EmbeddingStore(uri)
    status = store.read_status()
    if status is None or status.get("status") != "complete":
        state = "nothing is there" if status is None else f"its status is {status.get('status')}"
        raise InputError(f"{uri}: no complete embedding to take a map from: {state}")
    return load_map(store, str(status["map_sha256"]))

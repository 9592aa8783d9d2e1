"""The map of an embedding, read from storage where it is needed: by workers per task, by people afterwards."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from landmark_ops.errors import Edge, InputError, speaks
from landmark_ops.maps.landmark_map import LandmarkMap
from landmark_ops.maps.parts import Placed
from landmark_ops.stores.embeddings.format import open_output
from landmark_ops.stores.embeddings.store import EmbeddingStore
from landmark_ops.stores.sources.arrays import as_rows


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


@dataclass(frozen=True, eq=False)
class OpenedMap(LandmarkMap):
    """A map for interactive use: it takes rows of any array type."""

    @speaks(Edge.CALL)
    def __call__(self, X: Any) -> Any:
        """Place rows X (b, d): arrays, nested lists, DataFrames (their columns in order) as an ndarray (b, k) at once.

        Dask arrays, zarr arrays and `Rows` give a lazy dask array. Coordinates have the compute dtype of the rows, NaN
        for rows without any. Raises `InputError` for anything else, and for rows with another number of features.
        """
        from landmark_ops.passes.lazy_arrays import is_lazy, map_rows, place_lazily

        if is_lazy(X):
            return place_lazily(X, self, refuse=False)
        return map_rows(self._in_memory(X), super().__call__)

    @speaks(Edge.CALL)
    def place(self, X: Any) -> Placed:
        """Coordinates and residuals of rows X (b, d) in memory, held in any of the ways above.

        Raises InputError for a lazy array.
        """
        from landmark_ops.passes.lazy_arrays import is_lazy

        if is_lazy(X):
            raise InputError(f"got a lazy {type(X).__name__}: pass rows in memory, or call the map itself")
        return super().place(self._in_memory(X))

    def _in_memory(self, X: Any) -> NDArray[Any]:
        if isinstance(X, np.ndarray) and X.ndim == 2 and not len(X):
            return X
        if isinstance(X, list | tuple | np.ndarray) and len(X) == self.n_features and all(np.ndim(x) == 0 for x in X):
            raise InputError(
                f"got one row of {len(X)} numbers without an axis of rows: pass it as an array of shape (1, {len(X)})"
            )
        rows = as_rows(X)
        return rows.read(0, rows.n)


def open_map(uri: str) -> OpenedMap:
    """The fitted map of a complete embedding, to place new rows with: `open_map("out/patches.zarr")(X)`.

    X may be an array, nested lists, a DataFrame, a dask or zarr array, or `Rows`. Raises InputError where there is no
    complete embedding.
    """
    store = open_output(uri)
    status = store.read_status()
    if status is None or status.get("status") != "complete":
        state = "nothing is there" if status is None else f"its status is {status.get('status')}"
        raise InputError(f"{uri}: no complete embedding to take a map from: {state}")
    fitted = load_map(store, str(status["map_sha256"]))
    return OpenedMap(**{part.name: getattr(fitted, part.name) for part in fields(fitted)})

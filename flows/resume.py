"""Take up an interrupted run: landmarks and solution as the output holds them."""

from __future__ import annotations

from typing import Any

import numpy as np

from landmark_ops.blocks.stored_map import load_map
from landmark_ops.methods.method import Solution
from landmark_ops.selection.landmarks import Landmarks
from landmark_ops.stores.embedding import EmbeddingStore


def load_landmarks(store: EmbeddingStore) -> Landmarks:
    """The landmarks as selected."""
    arrays = store.get("landmarks")
    note = str(store.read_attributes()["selection"])
    return Landmarks(arrays["indices"], arrays["points"], arrays["weights"], note)


def load_solution(store: EmbeddingStore) -> Solution:
    """The solution as solved; the map is checked against its content hash."""
    arrays: dict[str, Any] = store.get("landmarks")
    known = store.read_attributes()
    return Solution(
        load_map(store.uri, str(known["map_sha256"])),
        np.asarray(arrays["embedding"], np.float64),
        np.asarray(arrays["eigenvalues"], np.float64),
        np.asarray(arrays["spectrum"], np.float64),
        int(known["rank"]),
        float(known["negative_mass"]),
        float(known["cutoff"]),
        tuple(known["warnings"]),
    )

"""`landmarks.add_to`: keep an earlier embedding's landmarks, add more, leave its coordinates where they were."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from landmark_ops.configs.embed import EmbedConfig
from landmark_ops.errors import InputError
from landmark_ops.maps.landmark_map import LandmarkMap
from landmark_ops.passes.stored_map import load_map
from landmark_ops.selection.landmarks import Landmarks
from landmark_ops.selection.request import Request
from landmark_ops.selection.selection import select
from landmark_ops.stores.embeddings.format import open_output
from landmark_ops.stores.sources.rows import Rows

NEW_SEED = 1  # added to the seed: with the old one most strategies would find the old landmarks again


class Earlier(NamedTuple):
    """A complete embedding that landmarks are added to."""

    uri: str
    landmarks: Landmarks
    map: LandmarkMap
    sha256: str


def read_earlier(config: EmbedConfig, rows: Rows) -> Earlier | None:
    """The embedding at `landmarks.add_to`; None where there is none to add to.

    Raises InputError unless it is complete, of the same single method, and of rows with the same features.
    """
    uri = config.landmarks.add_to
    if uri is None:
        return None
    if config.methods:
        raise InputError("landmarks.add_to: goes with a single method: its coordinates are what must not move")
    store = open_output(uri)
    status = store.read_status()
    if status is None or status.get("status") != "complete":
        state = "nothing is there" if status is None else f"its status is {status.get('status')}"
        raise InputError(f"landmarks.add_to {uri}: no complete embedding to add to: {state}")
    if status["method"] != config.method.name or not config.method.grows:
        raise InputError(
            f"landmarks.add_to {uri}: made by {status['method']}, this run is {config.method.name}: coordinates can be "
            "kept where both are the same method, and one whose result is its coordinates"
        )
    arrays: dict[str, Any] = store.get("landmarks")
    points = arrays["points"]
    if points.shape[1] != rows.d:
        raise InputError(
            f"landmarks.add_to {uri}: its rows have {points.shape[1]} features, those of {rows.uri} {rows.d}: the same "
            "features are needed"
        )
    indices = still_there(rows, arrays["indices"], points)
    landmarks = Landmarks(indices, points, arrays["weights"], str(status["selection"]))
    sha256 = str(status["map_sha256"])
    return Earlier(uri, landmarks, load_map(store, sha256), sha256)


def still_there(rows: Rows, indices: Any, points: Any) -> Any:
    """Row numbers of the old landmarks, -1 for those that are not at their place in this source any more."""
    indices = np.where(indices < rows.n, indices, -1)
    known = np.flatnonzero(indices >= 0)
    found = rows.take(indices[known])
    moved = known[(found != points[known].astype(found.dtype)).any(axis=1)]
    indices[moved] = -1
    return indices


def grow(earlier: Earlier, strategy: str, ask: Request) -> Landmarks:
    """As many landmarks as are asked for, the old ones first."""
    from landmark_ops.solver.alignment import grow_landmarks

    def select_new(wanted: int) -> Landmarks:
        return select(strategy, replace(ask, count=wanted, seed=ask.seed + NEW_SEED))

    return grow_landmarks(earlier.landmarks, select_new, ask.count)

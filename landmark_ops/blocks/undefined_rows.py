"""One pass over rows that finds out why some have no coordinates: made only once that is known of some."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from landmark_ops.blocks.engine import Engine, Item
from landmark_ops.numerics.distances import Array
from landmark_ops.numerics.landmark_map import LandmarkMap
from landmark_ops.numerics.undefined import Cause, Found, add_tallies, causes, refusal, tally
from landmark_ops.stores.rows import Rows

LENGTH_ROWS = 16_384  # geodesics of so many rows are held at a time


def causes_block(item: Item, rows: Rows, fitted: LandmarkMap, lengths: Rows | None) -> dict[Cause, Found]:
    """Why rows of item[0]..item[1] have no coordinates; `lengths`: the rows' geodesics, where the map takes those."""
    parts = []
    for start in range(*item, LENGTH_ROWS):
        stop = min(start + LENGTH_ROWS, item[1])
        held = None if lengths is None else lengths.read(start, stop)
        found = causes(fitted, rows.read(start, stop), held, stored=True)
        parts.append(tally(found, np.arange(start, stop)))
    return add_tallies(parts)


def causes_of_rows(
    X: Array, indices: NDArray[np.int64], fitted: LandmarkMap, lengths: Rows | None
) -> dict[Cause, Found]:
    """The same of a few rows X (b, d) at hand, whose global indices (b,) ascend."""
    return tally(causes(fitted, X, None if lengths is None else lengths.take(indices), stored=True), indices)


def find_causes(
    rows: Rows, fitted: LandmarkMap, engine: Engine, items: list[Item], lengths: Rows | None = None
) -> dict[Cause, Found]:
    """Why rows of these ranges have no coordinates under a map; empty where all have some."""
    if not items:
        return {}
    return engine.reduce(causes_block, add_tallies, items, rows, fitted, lengths)


def refuse_undefined(
    rows: Rows, fitted: LandmarkMap, engine: Engine, items: list[Item], lengths: Rows | None = None
) -> None:
    """Raise InputError naming cause, count and first of the rows without coordinates; return where all have some."""
    if found := find_causes(rows, fitted, engine, items, lengths):
        raise refusal(found, fitted.block, rows.n, rows.uri)

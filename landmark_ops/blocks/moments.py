"""One tree reduction over all rows: moments of a map's outputs."""

from __future__ import annotations

from landmark_ops.blocks.engine import Done, Engine, Item
from landmark_ops.numerics.landmark_map import LandmarkMap
from landmark_ops.numerics.moments import Moments, add_moments, moments_of
from landmark_ops.stores.rows import Rows


def block_moments(item: Item, rows: Rows, features: LandmarkMap) -> Moments:
    """Moments of one range of rows."""
    return moments_of(features, rows.read(*item))


def sum_moments(
    rows: Rows, features: LandmarkMap, engine: Engine, items: list[Item], done: Done | None = None
) -> Moments:
    """Moments of all rows. The order of summation is that of `items`, whoever computes them."""
    return engine.reduce(block_moments, add_moments, items, rows, features, done=done)

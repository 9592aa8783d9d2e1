"""Unexplained sums of several maps over the same rows, one range per task."""

from __future__ import annotations

from landmark_ops.maps.landmark_map import LandmarkMap
from landmark_ops.maps.trace_error import ExplainedSums, add_explained, explained_block
from landmark_ops.row_range import RowRange
from landmark_ops.stores.sources.rows import Rows


def map_errors_block(item: RowRange, rows: Rows, maps: tuple[LandmarkMap, ...]) -> list[ExplainedSums]:
    """The sums of rows item[0]..item[1] under each map."""
    return explained_block(list(maps), rows.read(*item))


def add_map_errors(parts: list[list[ExplainedSums]]) -> list[ExplainedSums]:
    """The sums of several blocks together, map by map."""
    return [add_explained(list(column)) for column in zip(*parts, strict=True)]

"""Farthest-first rows of single ranges, and their merging into those of all rows."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from landmark_ops.numerics.distances import Array
from landmark_ops.numerics.metric import Metric
from landmark_ops.passes.grid import BLOCK_ELEMENTS
from landmark_ops.row_range import RowRange
from landmark_ops.selection.nearest import as_distance, gaps_to, nearest
from landmark_ops.selection.usable_rows import read_usable, working_rows
from landmark_ops.stores.sources.rows import Rows

FRONT_ROWS = 1 << 10  # farthest rows kept up to date after every choice; the others once per round


class Cover(NamedTuple):
    """Rows that stand for many: indices (j,) int64 global, points (j, d) stored dtype.

    Every row they were chosen from lies within `radius` of one of them or of the first landmark, after `levels`
    levels of farthest-first.
    """

    indices: NDArray[np.int64]
    points: Array
    radius: float
    levels: int


def cover_block(item: RowRange, rows: Rows, start: Array, m: int, metric: Metric, skip_bad_rows: bool) -> Cover:
    """The m - 1 farthest-first rows of one range, beginning away from `start` (1, d); fewer if fewer are distinct."""
    indices, stored, X = read_usable(item, rows, metric, skip_bad_rows)
    picks, radius = farthest_first(X, working_rows(start, metric)[0], m - 1, metric)
    return Cover(indices[picks], stored[picks], radius, 1)


def merge_covers(parts: list[Cover], *, start: Array, m: int, metric: Metric) -> Cover:
    """The union of several covers, shrunk to m - 1 rows only where it is too large for one worker."""
    indices = np.concatenate([part.indices for part in parts])
    points = np.concatenate([part.points for part in parts])
    union = Cover(indices, points, max(p.radius for p in parts), max(p.levels for p in parts))
    if points.size <= BLOCK_ELEMENTS or len(indices) <= m - 1:
        return union
    return shrink(union, start, m, metric)


def shrink(cover: Cover, start: Array, m: int, metric: Metric) -> Cover:
    """One more level of farthest-first, over the rows of a cover in the order of their indices."""
    order = np.argsort(cover.indices)
    points = cover.points[order]
    picks, radius = farthest_first(working_rows(points, metric), working_rows(start, metric)[0], m - 1, metric)
    return Cover(cover.indices[order][picks], points[picks], cover.radius + radius, cover.levels + 1)


def farthest_first(X: Array, start: Array, count: int, metric: Metric) -> tuple[NDArray[np.int64], float]:
    """Up to `count` positions in the working rows X (b, d), each farthest from `start` (d,) and those before it.

    Returns the positions (j,) int64, ties broken by the lowest, and the radius that is left: the largest distance
    of a row to the chosen ones. j < count where every other row coincides with a chosen one.

    Works in rounds, but exactly: gaps only shrink, so an old gap bounds the present one. A round keeps the front
    (the FRONT_ROWS farthest rows) up to date after each choice, and ends when the front's farthest row comes below
    the old gap of any row behind it; then the gaps of all rows are updated by one matrix product.
    """
    picks: list[int] = []
    gaps = gaps_to(X, start, metric) if len(X) else np.zeros(0)
    while len(picks) < count and gaps.max(initial=0.0) > 0:
        edge = np.partition(gaps, -FRONT_ROWS)[-FRONT_ROWS] if len(X) > FRONT_ROWS else 0.0
        front = np.flatnonzero(gaps >= edge)
        front_X, front_gaps = X[front].astype(np.float64), gaps[front]
        before = len(picks)
        while len(picks) < count:
            farthest = int(front_gaps.argmax())
            if front_gaps[farthest] < edge or front_gaps[farthest] == 0:
                break
            picks.append(int(front[farthest]))
            np.minimum(front_gaps, gaps_to(front_X, front_X[farthest], metric), out=front_gaps)
            front_gaps[farthest] = 0.0
        np.minimum(gaps, nearest(X, X[picks[before:]], metric).gaps, out=gaps)
        gaps[picks[before:]] = 0.0
    return np.array(picks, np.int64), as_distance(gaps.max(initial=0.0), metric)

"""Farthest-first landmarks (maxmin): each next landmark is the row farthest from those chosen so far.

Exact where all rows fit one worker (Gonzalez 1985: the radius is at most twice the best possible). Otherwise a
composable core-set: farthest-first inside each block of a fixed grid, then over the union of what the blocks chose,
merged along a fixed tree where the union would outgrow one worker. With L levels of farthest-first every row lies
within 2 L times the best possible radius of a landmark: 4 for blocks and one union (Malkomes et al. 2015, who build
on the core-sets of Indyk, Mahabadi, Mahdian & Mirrokni 2014), 2 more for each further level, by the triangle
inequality. Metrics without that inequality get the same landmarks and no guarantee.
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from landmark_ops.errors import InputError, Word
from landmark_ops.numerics.distances import Array, Metric
from landmark_ops.passes.grid import BLOCK_ELEMENTS, block_rows, power_of_two
from landmark_ops.passes.ranges import ranges
from landmark_ops.row_range import RowRange
from landmark_ops.selection.draws import first_row
from landmark_ops.selection.landmarks import Landmarks, equal_weights
from landmark_ops.selection.nearest import as_distance, gaps_to, nearest
from landmark_ops.selection.request import Request
from landmark_ops.selection.strategy import STRATEGIES, Strategy
from landmark_ops.selection.usable_rows import read_usable, working_rows
from landmark_ops.stores.sources.rows import Rows

EXACT_ROWS = 1 << 16  # up to here, and up to the elements below, one worker holds all rows
EXACT_ELEMENTS = 1 << 24
ROWS_PER_LANDMARK = 16  # least rows of a block per landmark it may choose
FRONT_ROWS = 1 << 10  # farthest rows kept up to date after every choice; the others once per round
NOT_METRIC = ("braycurtis", "callable", "nan_euclidean")  # the triangle inequality may fail


class Cover(NamedTuple):
    """Rows that stand for many: indices (j,) int64 global, points (j, d) stored dtype.

    Every row they were chosen from lies within `radius` of one of them or of the first landmark, after `levels`
    levels of farthest-first.
    """

    indices: NDArray[np.int64]
    points: Array
    radius: float
    levels: int


def select_maxmin(ask: Request) -> Landmarks:
    """Farthest-first from one random row, in `ask.metric`. Raises InputError where fewer rows are distinct."""
    rows, m = ask.rows, ask.count
    metric = ask.geometry
    start = first_row(ask)
    items = ranges(rows.n, maxmin_block_rows(rows.n, m, rows.d))
    ask.plan(rows.n)
    merge = partial(merge_covers, start=start.points, m=m, metric=metric)
    cover = ask.engine.reduce(
        cover_block, merge, items, rows, start.points, m, metric, ask.skip_bad_rows, done=ask.done
    )
    if len(cover.indices) > m - 1:
        cover = shrink(cover, start.points, m, metric)
    if len(cover.indices) < m - 1:
        raise InputError(
            f"{rows.uri}: only {len(cover.indices) + 1} distinct rows under metric {metric.name}, {Word.COUNT} is "
            f"{m}: lower {Word.COUNT} to {len(cover.indices) + 1}"
        )
    indices = np.concatenate([start.indices, cover.indices])
    points = np.concatenate([start.points, cover.points])
    return Landmarks(indices, points, equal_weights(rows.n, m), describe(cover, len(items), metric))


def maxmin_block_rows(n: int, m: int, d: int) -> int:
    """Rows per block: all n where one worker can hold them, else at least 16 per landmark; a power of two."""
    if n <= EXACT_ROWS and n * d <= EXACT_ELEMENTS:
        return n
    return max(block_rows(d), 2 * power_of_two(ROWS_PER_LANDMARK * m - 1))


def cover_block(item: RowRange, rows: Rows, start: Array, m: int, metric: Metric, skip_bad_rows: bool) -> Cover:
    """The m - 1 farthest-first rows of one block, beginning away from `start` (1, d); fewer if fewer are distinct."""
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

    Works in rounds and yet exactly. Gaps only shrink, so an old gap bounds the present one. A round keeps the front
    (the FRONT_ROWS farthest rows) up to date after each choice, and ends when the front's farthest row comes below
    the old gap of any row behind it; then all rows learn of the round's choices in one matrix product.
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


def describe(cover: Cover, blocks: int, metric: Metric) -> str:
    """The note: what was done, the radius reached, and the guarantee."""
    how = "exact farthest-first" if blocks == 1 else f"core-set of {blocks} blocks, {cover.levels} levels"
    if metric.name in NOT_METRIC:
        bound = f"metric {metric.name} may break the triangle inequality: no guarantee"
    else:
        source = "Gonzalez 1985" if blocks == 1 else "Malkomes et al. 2015"
        bound = f"at most {2 * cover.levels} times the best possible ({source})"
    space = {"unit": " on rows of unit length", "center_unit": " on centred rows of unit length"}
    where = space.get(metric.transform or "", "")
    return f"maxmin: {how}; every row within {cover.radius:.6g} of a landmark{where}, {bound}"


STRATEGIES.register(
    Strategy("maxmin", select_maxmin, passes=1, compares_by="metric", order=1, colour="#e08214", mark="^")
)

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

import numpy as np

from landmark_ops.errors import InputError, Word
from landmark_ops.numerics.metric import Metric
from landmark_ops.passes.grid import block_rows, power_of_two
from landmark_ops.passes.ranges import ranges
from landmark_ops.selection.covers import Cover, cover_block, merge_covers, shrink
from landmark_ops.selection.draws import first_row
from landmark_ops.selection.landmarks import Landmarks, equal_weights
from landmark_ops.selection.request import Request
from landmark_ops.selection.strategy import STRATEGIES, Strategy

EXACT_ROWS = 1 << 16  # up to here, and up to the elements below, one worker holds all rows
EXACT_ELEMENTS = 1 << 24
ROWS_PER_LANDMARK = 16  # least rows of a block per landmark it may choose


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


def describe(cover: Cover, blocks: int, metric: Metric) -> str:
    """The note: the method, the radius reached, and the guarantee."""
    how = "exact farthest-first" if blocks == 1 else f"core-set of {blocks} blocks, {cover.levels} levels"
    if not metric.family.triangle:
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

"""Levels of recursive RLS-Nystrom: weighted samples of rows, each judged from that of the level below."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from landmark_ops.numerics.kernel import Kernel
from landmark_ops.numerics.random_streams import RowStream, Stream, generator, row_numbers
from landmark_ops.passes.grid import BLOCK_ELEMENTS
from landmark_ops.row_range import RowRange
from landmark_ops.selection.landmarks import Landmarks
from landmark_ops.selection.pivots import Pivots, Precision, precision_for
from landmark_ops.selection.request import Request
from landmark_ops.selection.residuals import residuals
from landmark_ops.selection.scores import (
    Weighted,
    keep,
    oversampling,
    ridge_pivots,
    score,
    tail_rank,
    tail_ridge,
)
from landmark_ops.selection.sweep import kernel_items
from landmark_ops.selection.usable_rows import read_usable, row_rule
from landmark_ops.stores.sources.rows import Rows

RATIO = 4  # rows of a level per row of the level below; the paper has 2, more passes and samples half as large
CORE_ROWS = 1 << 13  # levels of at most so many rows, or so many per landmark, are scored centrally
CORE_PER_LANDMARK = 4


class Level(NamedTuple):
    """What a pass over a level needs: the rows with number below `share` are its members."""

    share: float
    number: int
    ridge: float
    seed: int
    oversampling: float
    precision: Precision


def core_rows(n: int, d: int, m: int) -> int:
    """How many rows are scored centrally."""
    return min(n, max(min(CORE_ROWS, BLOCK_ELEMENTS // d), CORE_PER_LANDMARK * m))


def level_shares(n: int, size: int) -> list[float]:
    """The shares of rows in the levels between the central ones, of `size` rows, and all n; ascending."""
    shares, share = [], 1 / RATIO
    while share * n > size:
        shares.append(share)
        share /= RATIO
    return shares[::-1]


def central_levels(ask: Request, core: Landmarks, kernel: Kernel) -> Weighted:
    """A weighted sample of the core's rows, from levels that are the first rows of its random order.

    A core of no more rows than landmarks is kept whole.
    """
    m, size = ask.count, len(core.indices)
    at = min(m, size)
    kept = Weighted(core.indices[:at], core.points[:at], np.ones(at))
    number = 0
    while at < size:
        at, number = min(2 * at, size), number + 1
        ridge = tail_ridge(kept, kernel, tail_rank(m)).value
        scores = score(core.points[:at], kept, ridge, kernel, ask.engine)
        random = generator(ask.seed, Stream.LEVERAGE_CORE, number)
        found = keep(core.indices[:at], core.points[:at], oversampling(m) * scores, random.random(at))
        kept = found if len(found.indices) else kept  # few landmarks: a sample may be empty by chance
    return kept


def level_above(kept: Weighted, share: float, number: int, ask: Request, kernel: Kernel) -> Weighted:
    """A weighted sample of a share of all rows, by one pass that judges them from the sample of the level below."""
    ridge = tail_ridge(kept, kernel, tail_rank(ask.count))
    pivots = ridge_pivots(kept, ridge.value, kernel)
    precision = precision_for(ask.rows, ridge.relative, pivots)
    level = Level(share, number, ridge.value, ask.seed, oversampling(ask.count), precision)
    items = kernel_items(ask.rows.n, ask.rows.d)
    common = (ask.rows, pivots, kernel, ask.skip_bad_rows, level)
    found = ask.engine.reduce(level_block, merge_kept, items, *common, done=ask.done)
    return thinned(found, ask, kernel, number) if len(found.indices) else kept


def level_block(item: RowRange, rows: Rows, pivots: Pivots, kernel: Kernel, skip: bool, level: Level) -> Weighted:
    """The rows of one range that belong to a level and are kept by their score."""
    indices, stored, X = read_usable(item, rows, row_rule(kernel), skip)
    member = row_numbers(level.seed, RowStream.LEVERAGE_MEMBER, *item, level.number)[indices - item[0]] < level.share
    indices, stored, X = indices[member], stored[member], X[member]
    left = residuals(X, pivots, kernel, level.precision).left
    uniforms = row_numbers(level.seed, RowStream.LEVERAGE_KEPT, *item, level.number)[indices - item[0]]
    return keep(indices, stored, level.oversampling * np.minimum(left / level.ridge, 1.0), uniforms)


def thinned(kept: Weighted, ask: Request, kernel: Kernel, number: int) -> Weighted:
    """Fewer rows of a sample: each judged again by the whole of it, and kept by the new score if that is lower.

    A sample judged by a quarter of the rows is up to four times too large. Calandriello, Lazaric & Valko 2017.
    """
    ridge = tail_ridge(kept, kernel, tail_rank(ask.count)).value
    scores = oversampling(ask.count) * score(kept.stored, kept, ridge, kernel, ask.engine)
    random = generator(ask.seed, Stream.LEVERAGE_THINNED, number)
    chosen = random.random(len(scores)) * kept.probability < scores
    if not chosen.any():
        return kept
    return Weighted(kept.indices[chosen], kept.stored[chosen], np.minimum(kept.probability, scores)[chosen])


def merge_kept(parts: list[Weighted]) -> Weighted:
    """The rows kept of several ranges, in their order."""
    indices, stored, probability = zip(*parts, strict=True)
    return Weighted(np.concatenate(indices), np.concatenate(stored), np.concatenate(probability))

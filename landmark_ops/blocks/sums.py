"""One pass over all rows for any number of sums at once: each chunk is read once, each block computed once.

Targets y travel beside the rows; rows held out for scoring take no part in sums that look at them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from landmark_ops.blocks.engine import Done, Engine, Item
from landmark_ops.errors import InputError, Word
from landmark_ops.numerics.evaluation import place_all
from landmark_ops.numerics.landmark_map import Placed
from landmark_ops.numerics.moments import SUM_ROWS, Sum, Tile
from landmark_ops.numerics.row_random import row_uniforms
from landmark_ops.stores.rows import Rows

FOLD = 2  # sums of tiles held at a time
HELD_OUT_STREAM = 1 << 20  # of the seed's random numbers: apart from those of selection


@dataclass(frozen=True)
class Targets:
    """One value per row, in a source of its own: `rows` (n, 1), and the share of rows held out for scoring."""

    rows: Rows
    held_out: float = 0.0
    seed: int = 0

    def read(self, start: int, stop: int) -> NDArray[np.float64]:
        """Targets of rows start..stop, (b, 1) float64; NaN where a row has none."""
        return np.asarray(self.rows.read(start, stop), np.float64)

    def trains(self, start: int, stop: int) -> NDArray[np.bool_]:
        """Which of the rows start..stop are learned from, (b,): decided by seed and row index alone."""
        if self.held_out == 0:
            return np.ones(stop - start, bool)
        return row_uniforms(self.seed, HELD_OUT_STREAM, start, stop) >= self.held_out


class Summed(NamedTuple):
    """The sums of one pass, and how many rows had coordinates under every map."""

    rows: int
    values: list[Any]


def sum_over(
    rows: Rows,
    sums: Sequence[Sum[Any]],
    engine: Engine,
    items: list[Item],
    targets: Targets | None = None,
    done: Done | None = None,
) -> Summed:
    """All sums over all rows. The order of summation is that of `items`, whoever computes them."""
    add = _Add(tuple(sums))
    return engine.reduce(sum_block, add, items, rows, tuple(sums), targets, done=done)


def sum_block(item: Item, rows: Rows, sums: tuple[Sum[Any], ...], targets: Targets | None) -> Summed:
    """The sums of one range of rows, tile by tile."""
    start, stop = item
    X = rows.read(start, stop)
    learning = any(ask.targets for ask in sums)
    y = targets.read(start, stop) if targets is not None and learning else None
    trains = targets.trains(start, stop) if targets is not None and learning else None
    maps = [fitted for ask in sums for fitted in ask.maps]
    parts: list[Summed] = []
    for at in range(0, len(X), SUM_ROWS):
        cut = slice(at, at + SUM_ROWS)
        placed = place_all(maps, X[cut])
        good = np.logical_and.reduce([np.isfinite(one.embedding).all(axis=1) for one in placed])
        values, first = [], 0
        for ask in sums:
            own = placed[first : first + len(ask.maps)]
            first += len(ask.maps)
            keep = good
            if ask.targets:
                assert y is not None
                assert trains is not None
                keep = good & trains[cut] & np.isfinite(y[cut]).all(axis=1)
            kept = own if keep.all() else [Placed(one.embedding[keep], one.residual[keep]) for one in own]
            values.append(ask.of(Tile(kept, y[cut][keep] if ask.targets and y is not None else None)))
        parts.append(Summed(int(good.sum()), values))
        if len(parts) == FOLD:  # a wide chunk of narrow rows has 64 tiles, each with sums of (m, m)
            parts = [_Add(sums)(parts)]
    return _Add(sums)(parts)


@dataclass(frozen=True, eq=False)
class _Add:
    sums: tuple[Sum[Any], ...]

    def __call__(self, parts: list[Summed]) -> Summed:
        values = [ask.add([part.values[at] for part in parts]) for at, ask in enumerate(self.sums)]
        return Summed(sum(part.rows for part in parts), values)


def check_targets(targets: Targets | None, rows: Rows, method: str) -> Targets:
    """The targets a supervised method needs; InputError where there are none or they do not fit the rows."""
    if targets is None:
        raise InputError(f"method {method} learns from a target and none is given: {Word.GIVE_TARGET}")
    if targets.rows.n != rows.n:
        raise InputError(
            f"{Word.TARGET} {targets.rows.uri}: {targets.rows.n:,} values for {rows.n:,} rows of {rows.uri}: one "
            "per row is needed"
        )
    if targets.rows.d != 1:
        raise InputError(
            f"{Word.TARGET} {targets.rows.uri}: {targets.rows.d} values per row, one is needed: choose one "
            "column or array"
        )
    return targets

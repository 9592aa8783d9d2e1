"""One pass over all rows for any number of sums at once: each chunk is read once, each block computed once.

Targets y travel beside the rows; rows held out for scoring take no part in sums that look at them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from landmark_ops.engine.protocol import Engine
from landmark_ops.maps.evaluation import place_all
from landmark_ops.maps.moments import SUM_ROWS, Sum, Tile
from landmark_ops.maps.parts import Placed
from landmark_ops.passes.targets import Targets
from landmark_ops.row_range import Done, RowRange
from landmark_ops.stores.sources.rows import Rows

Number = TypeVar("Number", bound=np.number)

FOLD = 2  # sums of tiles held at a time


def add_arrays(parts: list[NDArray[Number]]) -> NDArray[Number]:
    """The sum of several arrays of one shape, added in order: the partial sums of blocks."""
    return reduce(np.add, parts)


class Summed(NamedTuple):
    """The sums of one pass, and how many rows had coordinates under every map.

    `infinite`: how many targets are Inf, and `first` the lowest row index of them, -1 if none.
    """

    rows: int
    values: list[Any]
    infinite: int = 0
    first: int = -1


def sum_over(
    rows: Rows,
    sums: Sequence[Sum[Any]],
    engine: Engine,
    items: list[RowRange],
    targets: Targets | None = None,
    done: Done | None = None,
) -> Summed:
    """All sums over all rows. The order of summation is that of `items`, on any number of workers."""
    add = _Add(tuple(sums))
    return engine.reduce(sum_block, add, items, rows, tuple(sums), targets, done=done)


def sum_block(item: RowRange, rows: Rows, sums: tuple[Sum[Any], ...], targets: Targets | None) -> Summed:
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
        infinite = np.flatnonzero(np.isinf(y[cut])) if y is not None else np.zeros(0, np.int64)
        parts.append(
            Summed(int(good.sum()), values, len(infinite), start + at + int(infinite[0]) if len(infinite) else -1)
        )
        if len(parts) == FOLD:  # a wide chunk of narrow rows has 64 tiles, each with sums of (m, m)
            parts = [_Add(sums)(parts)]
    return _Add(sums)(parts)


@dataclass(frozen=True, eq=False)
class _Add:
    sums: tuple[Sum[Any], ...]

    def __call__(self, parts: list[Summed]) -> Summed:
        values = [ask.add([part.values[at] for part in parts]) for at, ask in enumerate(self.sums)]
        first = min((part.first for part in parts if part.infinite), default=-1)
        return Summed(sum(part.rows for part in parts), values, sum(part.infinite for part in parts), first)

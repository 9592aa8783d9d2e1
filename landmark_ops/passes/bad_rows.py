"""Rows with NaN or Inf, counted over all of a source."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from landmark_ops.engine.protocol import Engine
from landmark_ops.row_range import RowRange
from landmark_ops.stores.sources.rows import Rows


class BadRows(NamedTuple):
    """How many rows hold NaN or Inf, and the global index of the first of them, -1 if there are none."""

    rows: int
    first: int


def count_bad_block(item: RowRange, rows: Rows) -> BadRows:
    """The bad rows of one range."""
    start, stop = item
    X = rows.read(start, stop)
    if X.dtype.kind != "f":
        return BadRows(0, -1)
    bad = np.flatnonzero(~np.isfinite(X).all(axis=1))
    return BadRows(len(bad), start + int(bad[0]) if len(bad) else -1)


def add_bad_rows(parts: list[BadRows]) -> BadRows:
    """The bad rows of several ranges together."""
    firsts = [part.first for part in parts if part.rows]
    return BadRows(sum(part.rows for part in parts), min(firsts, default=-1))


def count_bad_rows(rows: Rows, engine: Engine, items: Sequence[RowRange]) -> BadRows:
    """The bad rows of a source; reads all of it."""
    return engine.reduce(count_bad_block, add_bad_rows, items, rows)

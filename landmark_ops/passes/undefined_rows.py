"""Rows without coordinates: one pass that finds out why, once some are known, and refusals that name the cause."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from landmark_ops.engine.protocol import Engine
from landmark_ops.maps.causes import Cause
from landmark_ops.maps.landmark_map import LandmarkMap
from landmark_ops.maps.tally import Found, add_tallies, refusal, tally
from landmark_ops.maps.undefined import causes, row_causes
from landmark_ops.numerics.blocks import Block, domain
from landmark_ops.numerics.distances import Array
from landmark_ops.row_range import RowRange
from landmark_ops.stores.sources.rows import Rows

ALLOWED = (Cause.NOT_FINITE, Cause.UNREACHED)
LENGTH_ROWS = 16_384  # geodesics of so many rows are held at a time


def causes_block(item: RowRange, rows: Rows, fitted: LandmarkMap, lengths: Rows | None) -> dict[Cause, Found]:
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
    """Causes for a few rows X (b, d) in memory, whose global indices (b,) ascend."""
    return tally(causes(fitted, X, None if lengths is None else lengths.take(indices), stored=True), indices)


def find_causes(
    rows: Rows, fitted: LandmarkMap, engine: Engine, items: list[RowRange], lengths: Rows | None = None
) -> dict[Cause, Found]:
    """Why rows of these ranges have no coordinates under a map; empty where all have some."""
    if not items:
        return {}
    return engine.reduce(causes_block, add_tallies, items, rows, fitted, lengths)


def refuse_undefined(
    rows: Rows, fitted: LandmarkMap, engine: Engine, items: list[RowRange], lengths: Rows | None = None
) -> None:
    """Raise InputError naming cause, count and first of the rows without coordinates; return where all have some."""
    if found := find_causes(rows, fitted, engine, items, lengths):
        raise refusal(found, fitted.block, rows.n, rows.named)


def outside_block(item: RowRange, rows: Rows, block: Block) -> dict[Cause, Found]:
    """The rows of item[0]..item[1] that a metric or kernel is not defined for."""
    found = row_causes(block, rows.read(*item))
    found[found != Cause.OUTSIDE] = Cause.DEFINED
    return tally(found, np.arange(*item))


def refuse_outside(rows: Rows, block: Block | None, engine: Engine, items: list[RowRange]) -> None:
    """Raise InputError where any row breaks a condition of its metric or kernel, whichever rows become landmarks.

    Reads the rows once, where there is such a condition at all.
    """
    if block is None or domain(block) is None:
        return
    if found := engine.reduce(outside_block, add_tallies, items, rows, block):
        raise refusal(found, block, rows.n, rows.named)


def refuse_lacking(
    out: Array, X: Array, fitted: LandmarkMap, where: str, allowed: tuple[Cause, ...] = ALLOWED
) -> Array:
    """`out`, the coordinates (b, k) of rows X (b, d), or InputError naming why some of them have none.

    Rows holding NaN or Inf, and those off the component of a graph that was asked for, are NaN without an error, unless
    no cause is `allowed`, as for classes, which have no NaN.
    """
    if out.dtype.kind != "f":  # labels, which are refused before they are read off
        return out
    bad = np.flatnonzero(~np.isfinite(out).all(axis=1))
    if len(bad):
        found = tally(causes(fitted, X[bad], stored=out.dtype == np.float32), bad)
        if lacking := {cause: one for cause, one in found.items() if cause not in allowed}:
            raise refusal(lacking, fitted.block, len(X), where)
    return out

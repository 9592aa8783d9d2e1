"""Landmarks the user chose: row indices, or points that need not be rows at all."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from landmark_ops.errors import InputError, Word
from landmark_ops.passes.lookup import cells, gather
from landmark_ops.selection.landmarks import Landmarks, equal_weights
from landmark_ops.selection.request import Request
from landmark_ops.selection.strategy import STRATEGIES, Strategy
from landmark_ops.selection.usable_rows import unusable_rows, usable


def select_given(ask: Request) -> Landmarks:
    """The rows at `indices`, or the `points` as they are. Nothing is replaced, reordered or dropped.

    Raises InputError unless exactly one of them is given, and as many as asked for.
    """
    if (ask.indices is None) == (ask.points is None):
        got = "neither" if ask.indices is None else "both"
        raise InputError(f"strategy given: takes indices or points, got {got}: give exactly one of them")
    chosen = given_rows(ask) if ask.indices is not None else given_points(ask)
    if len(chosen.points) != ask.count:
        raise InputError(
            f"strategy given: {len(chosen.points)} landmarks given, {Word.COUNT} is {ask.count}: make them equal"
        )
    return chosen


def given_rows(ask: Request) -> Landmarks:
    """Landmarks from row indices: integers, in range, distinct, and of usable rows.

    Raises InputError for anything else.
    """
    raw = np.asarray(ask.indices)
    if raw.ndim != 1 or raw.dtype.kind not in "iu" or len(raw) == 0:
        raise InputError(
            f"landmark indices: got shape {raw.shape} of {raw.dtype}, needs a list of integers: give row numbers 0 to "
            f"{ask.rows.n - 1}"
        )
    outside = raw[(raw < 0) | (raw >= ask.rows.n)]
    if len(outside):
        raise InputError(
            f"landmark indices: {few(outside)} outside 0 to {ask.rows.n - 1}: count rows from 0, without negatives"
        )
    indices = raw.astype(np.int64)
    values, times = np.unique(indices, return_counts=True)
    if len(values) < len(indices):
        raise InputError(f"landmark indices: {few(values[times > 1])} given more than once: give each row once")
    ask.plan(sum(stop - start for start, stop in cells(ask.rows, indices)))
    points = gather(ask.rows, indices, ask.engine, ask.done)
    if not usable(points, ask.metric).all():
        raise unusable_rows(points, indices, ask.metric, f"{ask.rows.uri}, rows given as landmarks")
    return Landmarks(indices, points, equal_weights(ask.rows.n, len(indices)), f"given: {len(indices)} rows by index")


def given_points(ask: Request) -> Landmarks:
    """Landmarks from points (m, d), kept in float32 if they are float32, float64 otherwise.

    Raises InputError for another width or values that are no numbers.
    """
    points = np.asarray(ask.points)
    if points.ndim != 2 or len(points) == 0 or points.shape[1] != ask.rows.d or points.dtype.kind not in "fiu":
        raise InputError(
            f"landmark points: got shape {points.shape} of {points.dtype}, needs numbers of shape (m, {ask.rows.d}) "
            f"for {ask.rows.uri}: give one row of {ask.rows.d} features per landmark"
        )
    points = np.ascontiguousarray(points, np.float32 if points.dtype == np.float32 else np.float64)
    positions = np.arange(len(points), dtype=np.int64)
    if not usable(points, ask.metric).all():
        raise unusable_rows(points, positions, ask.metric, "points given as landmarks")
    ask.plan(0)
    nowhere = np.full(len(points), -1, np.int64)
    return Landmarks(nowhere, points, equal_weights(ask.rows.n, len(points)), f"given: {len(points)} points")


def few(values: NDArray[Any]) -> str:
    """The first three of some numbers, for a message."""
    return ", ".join(str(v) for v in values[:3]) + (f" and {len(values) - 3} more" if len(values) > 3 else "")


STRATEGIES.register(Strategy("given", select_given, passes=1, takes_own=True, order=8))

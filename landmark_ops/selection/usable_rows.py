"""Which rows can be landmarks, and their working form for strategies."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from landmark_ops.errors import BadRowsError, InputError
from landmark_ops.maps.causes import Cause
from landmark_ops.maps.tally import refusal, tally
from landmark_ops.maps.undefined import row_causes
from landmark_ops.numerics.blocks import domain
from landmark_ops.numerics.distances import Array, transform_rows
from landmark_ops.numerics.kernel import Kernel
from landmark_ops.numerics.metric import Metric
from landmark_ops.row_range import RowRange
from landmark_ops.stores.sources.rows import Rows

Rule = Metric | Kernel | None  # rows can be landmarks if they are finite and within the domain of this


class Block(NamedTuple):
    """The usable rows of one range.

    indices: (g,) int64 global; stored: (g, d) stored dtype; X: (g, d) working dtype, transformed.
    """

    indices: NDArray[np.int64]
    stored: Array
    X: Array


def row_rule(kernel: Kernel) -> Rule:
    """The rule for rows that a kernel can use: some need a direction, some no negative values."""
    if kernel.transform not in (None, "none"):
        return kernel.selection_metric()
    return kernel if domain(kernel) is not None else None


def working_rows(points: Array, metric: Rule) -> Array:
    """The rows (b, d) in the form that distances use: float32 where that holds them exactly, else float64.

    The Euclidean family is transformed here (cosine, correlation), so that only |x - z|^2 is left to compute; all
    other metrics get float64, as SciPy computes them.
    """
    working = np.result_type(points.dtype, np.float32)
    if not isinstance(metric, Metric):
        return np.asarray(points, working)
    if metric.transform is None:
        return np.asarray(points, np.float64)
    if metric.transform == "none":
        return np.asarray(points, working)
    return transform_rows(np.asarray(points, np.float64), metric.transform).astype(working)


def good(points: Array) -> NDArray[np.bool_]:
    """Which rows of (b, d) hold only finite numbers, (b,) bool."""
    if points.dtype.kind != "f":
        return np.ones(len(points), bool)
    return np.asarray(np.isfinite(points).all(axis=1))


def usable(points: Array, rule: Rule) -> NDArray[np.bool_]:
    """Which rows (b, d) can be landmarks, (b,) bool: finite, with what the metric or kernel asks of each."""
    finite = good(points)
    if rule is None or (isinstance(rule, Metric) and rule.transform == "none"):
        return finite
    return np.asarray(finite & (row_causes(rule, points) == Cause.DEFINED))


def read_usable(item: RowRange, rows: Rows, metric: Rule, skip_bad_rows: bool) -> Block:
    """The usable rows of a range; InputError for the others unless they may be skipped."""
    start, stop = item
    stored = rows.read(start, stop)
    indices = np.arange(start, stop, dtype=np.int64)
    ok = usable(stored, metric)
    if not ok.all():
        if not skip_bad_rows:
            raise unusable_rows(stored, indices, metric, f"{rows.uri}, rows {start} to {stop}")
        indices, stored = indices[ok], stored[ok]
    return Block(indices, stored, working_rows(stored, metric))


def unusable_rows(points: Array, indices: NDArray[np.int64], rule: Rule, where: str) -> InputError:
    """The error for points (b, d) of the rows `indices` (b,), of which some are not usable."""
    finite = good(points)
    if not finite.all():
        bad = indices[~finite]
        return BadRowsError(len(bad), int(bad.min()), len(points), where)
    order = np.argsort(indices, kind="stable")
    block = rule or Metric("euclidean")
    return refusal(tally(row_causes(block, points[order]), indices[order]), block, len(points), where)

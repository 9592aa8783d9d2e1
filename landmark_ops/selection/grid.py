"""The fixed grid all strategies work on, and the randomness and rows that belong to it.

Nothing here knows how many workers there are, and storage chunks only decide which rows are read together: block
bounds depend on n, m and d alone, and the random number of a row on (seed, stream, global row index) alone.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from landmark_ops.engine.engine import Done, Engine, Item
from landmark_ops.errors import BadRowsError, InputError
from landmark_ops.maps.causes import Cause
from landmark_ops.maps.tally import refusal, tally
from landmark_ops.maps.undefined import row_causes
from landmark_ops.numerics.distances import Array, Metric, transform_rows
from landmark_ops.selection.landmarks import Rule, good
from landmark_ops.stores.sources.rows import Rows

BLOCK_ELEMENTS = 1 << 22  # 32 MiB of float64 per block
BLOCK_ROWS = (1 << 10, 1 << 18)  # at least, at most


class Block(NamedTuple):
    """The usable rows of one range.

    indices: (g,) int64 global; stored: (g, d) stored dtype; X: (g, d) working dtype, transformed.
    """

    indices: NDArray[np.int64]
    stored: Array
    X: Array


def power_of_two(value: int) -> int:
    """The largest power of two that is at most `value` (at least 1)."""
    return 1 << (max(value, 1).bit_length() - 1)


def block_rows(d: int) -> int:
    """Rows per block: a power of two, about 32 MiB of float64, so mostly a multiple of the storage chunks."""
    low, high = BLOCK_ROWS
    return min(max(power_of_two(BLOCK_ELEMENTS // d), low), high)


def grid(n: int, size: int) -> list[Item]:
    """The ranges (start, stop) of `size` rows that cover 0..n; the last one may be shorter."""
    return [(start, min(start + size, n)) for start in range(0, n, size)]


def working_rows(points: Array, metric: Rule) -> Array:
    """The rows (b, d) as distances see them: float32 where that holds them exactly, else float64.

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


def usable(points: Array, rule: Rule) -> NDArray[np.bool_]:
    """Which rows (b, d) can be landmarks, (b,) bool: finite, with what the metric or kernel asks of each."""
    finite = good(points)
    if rule is None or (isinstance(rule, Metric) and rule.transform == "none"):
        return finite
    return np.asarray(finite & (row_causes(rule, points) == Cause.DEFINED))


def read_usable(item: Item, rows: Rows, metric: Rule, skip_bad_rows: bool) -> Block:
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


def cells(rows: Rows, indices: NDArray[np.int64]) -> list[Item]:
    """The ranges, whole storage chunks each, that hold any of the rows `indices`."""
    chunk = max(rows.chunk_rows, 1)
    size = -(-block_rows(rows.d) // chunk) * chunk
    return [(int(c) * size, min((int(c) + 1) * size, rows.n)) for c in np.unique(indices // size)]


def gather(rows: Rows, indices: NDArray[np.int64], engine: Engine, done: Done | None = None) -> NDArray[Any]:
    """The rows at `indices`, in that order, (len(indices), d) stored dtype, read by all workers."""
    order = np.argsort(indices, kind="stable")
    ranked = indices[order]
    out = np.empty((len(indices), rows.d), rows.dtype)
    for (start, stop), points in engine.imap(take_cell, cells(rows, indices), rows, ranked, done=done):
        low, high = np.searchsorted(ranked, [start, stop])
        out[order[low:high]] = points
    return out


def take_cell(item: Item, rows: Rows, ranked: NDArray[np.int64]) -> NDArray[Any]:
    """The rows of one range that are among the ascending `ranked`."""
    low, high = np.searchsorted(ranked, item)
    return rows.take(ranked[low:high])

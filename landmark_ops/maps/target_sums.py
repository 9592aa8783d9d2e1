"""Sums over all rows of features f (r,) and targets y: all that Gaussian processes and ridges need of the data.

Targets are summed about their mean. Parts, each about its own, are brought together by shifting, never by subtracting
large sums: targets near 1e8 that vary by 1 keep their digits.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from landmark_ops.maps.moments import Tile

F64 = NDArray[np.float64]


class TargetSums(NamedTuple):
    """Sums over `rows` rows of weight w = 1 / variance, with e = y - center and center the plain mean of y.

    gram (r, r): w f f^T. ones (r,): w f. fy (r,): w f e. weight, y, yy: w, w e, w e^2.
    log_variance: -log w. unexplained: k(x, x) - |f|^2. low, high: the smallest and largest y; integer: whether y are.
    """

    rows: int
    low: float
    high: float
    integer: bool
    center: float
    gram: F64
    ones: F64
    fy: F64
    weight: float
    y: float
    yy: float
    log_variance: float
    unexplained: float


@np.errstate(over="ignore", invalid="ignore")  # `check_numbers` refuses what has no finite sums
def target_sums(tile: Tile, noise: float | None = None) -> TargetSums:
    """The sums of a tile; variance k(x, x) - |f|^2 + noise (FITC) where noise is given, 1 where not."""
    assert tile.y is not None
    F, unexplained = tile.placed[0]
    integer = tile.y.dtype.kind in "iu"
    y = np.asarray(tile.y[:, 0], np.float64)
    low, high = (float(y.min()), float(y.max())) if len(y) else (np.inf, -np.inf)
    center = low if low == high else mean(y)  # exactly
    e = y - center
    variance = np.ones(len(y))
    if noise is not None:
        variance = np.maximum(unexplained, 0) + noise  # the difference may be -1e-12 by rounding
        root = np.sqrt(variance)
        F, e = F / root[:, None], e / root
    w = 1 / np.sqrt(variance)
    return TargetSums(
        len(y),
        low,
        high,
        integer,
        center,
        np.asarray(F.T @ F, np.float64),
        F.T @ w,
        F.T @ e,
        float(w @ w),
        float(w @ e),
        float(e @ e),
        float(np.log(variance).sum()),
        float(unexplained.sum()),
    )


@np.errstate(over="ignore", invalid="ignore")
def add_target_sums(parts: list[TargetSums]) -> TargetSums:
    """The sums of several parts together, about their common mean."""
    rows = sum(part.rows for part in parts)
    center = common_mean([part.rows for part in parts], [part.center for part in parts])
    shifted = [about(part, center) for part in parts]
    low, high = min(part.low for part in parts), max(part.high for part in parts)
    sums = (sum(column) for column in zip(*shifted, strict=True))
    return TargetSums(rows, low, high, parts[0].integer, center, *sums)


def common_mean(rows: Sequence[int], means: Sequence[float]) -> float:
    """The mean of several parts of so many rows: that of all of them, exactly, where it is the same."""
    held = [(count, one) for count, one in zip(rows, means, strict=True) if count]
    if not held:
        return 0.0
    total, first = sum(count for count, _ in held), held[0][1]
    return first + sum(count / total * (one - first) for count, one in held)


def mean(y: F64) -> float:
    """The mean of numbers (b,) of any size, 0 of none."""
    if len(y) == 0:
        return 0.0
    with np.errstate(over="ignore"):
        total = float(y.sum())
    return total / len(y) if np.isfinite(total) else float((y / len(y)).sum())


def about(part: TargetSums, center: float) -> tuple[F64 | float, ...]:
    """The sums, from gram on, with e = y - center for another center."""
    shift = part.center - center if part.rows else 0.0
    return (
        part.gram,
        part.ones,
        part.fy + shift * part.ones,
        part.weight,
        part.y + shift * part.weight,
        part.yy + 2 * shift * part.y + shift * shift * part.weight,
        part.log_variance,
        part.unexplained,
    )

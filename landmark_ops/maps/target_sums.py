"""Sums over all rows of features f (r,) and targets y: all that Gaussian processes and ridges need of the data.

Targets are summed about their mean. Parts, each about its own, are brought together by shifting, never by subtracting
large sums: targets near 1e8 that vary by 1 keep their digits.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from landmark_ops.errors import InputError, Word
from landmark_ops.maps.moments import Tile

F64 = NDArray[np.float64]
MAX_CLASSES = 1000  # each costs a readout of m numbers; more are most likely numbers, not classes
LARGEST_EXACT = 2.0**53  # integers are exact in float64 up to here
VARIANCES = (1e-280, 1e280)  # of a target: sums of squares over all rows, and their inverses, stay in float64
ROUNDED = 1e-6  # of a target's standard deviation, what rounding integers to float64 may take
SHOWS = 0.01  # of the error of a prediction: rounding of this size adds 4e-6 to it


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
    """The sums of several blocks together, about their common mean."""
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


def check_numbers(low: float, high: float, integer: bool, variance: float) -> None:
    """InputError for targets from `low` to `high` of a `variance` that float64 cannot carry.

    Squares need the range of float64, and integers beyond 2^53 are rounded.
    """
    if low < high and not VARIANCES[0] < variance < VARIANCES[1]:
        raise InputError(
            f"{Word.TARGET}: values from {low:g} to {high:g} have a variance outside {VARIANCES[0]:g} to "
            f"{VARIANCES[1]:g}, what float64 computes with: give it in another unit"
        )
    largest = max(-low, high)
    if integer and largest > LARGEST_EXACT and np.spacing(largest) > ROUNDED * np.sqrt(variance):
        raise InputError(
            f"{Word.TARGET}: integers up to {largest:g} are beyond 2^53, where float64 tells only every "
            f"{np.spacing(largest):g}th apart, and as such they vary by {np.sqrt(variance):.3g}: subtract an offset"
        )


def needs_double(summed: TargetSums, error: float) -> bool:
    """Whether predictions of a target known to within `error`, its standard error, would lose digits as float32.

    They do where rounding is more than SHOWS of that error, and where integers are beyond 2^24.
    """
    single = np.finfo(np.float32)
    largest = max(-summed.low, summed.high)
    if summed.low == summed.high:
        return largest > float(single.max) or float(np.float32(largest)) != largest
    if summed.integer and largest > 2.0 ** (single.nmant + 1):
        return True
    rounding = max(float(single.eps) * largest, float(single.smallest_subnormal))
    return bool(rounding > SHOWS * error or largest > float(single.max) / 2)


class ClassSums(NamedTuple):
    """Sums over `rows` rows: gram (r, r) of f f^T; per class met, ascending, (c,): its rows, and sum of f (c, r)."""

    rows: int
    gram: F64
    classes: NDArray[Any]  # int64, or uint64 where that is what the target holds
    counts: NDArray[np.int64]
    totals: F64


def class_sums(tile: Tile) -> ClassSums:
    """The sums of a tile. InputError where targets are no integers or there are too many of them."""
    assert tile.y is not None
    F, y = tile.placed[0].embedding, tile.y[:, 0]
    classes, at, counts = np.unique(
        whole_numbers(y) if y.dtype.kind == "f" else y, return_inverse=True, return_counts=True
    )
    check_class_count(len(classes))
    one_hot = (at == np.arange(len(classes))[:, None]).astype(F.dtype)
    return ClassSums(len(y), np.asarray(F.T @ F, np.float64), classes, counts, np.asarray(one_hot @ F, np.float64))


def whole_numbers(y: F64) -> NDArray[np.int64]:
    """Classes that are stored as floats (b,); InputError for those that are no integers."""
    wrong = y[(y != np.rint(y)) | (np.abs(y) > LARGEST_EXACT)]
    if len(wrong):
        raise InputError(
            f"{Word.TARGET}: {wrong[0]:g} is not a class, classes are integers (as floats up to 2^53): number them 0, "
            f"1, 2, ..., or use {Word.REGRESSION}"
        )
    return y.astype(np.int64)


def add_class_sums(parts: list[ClassSums]) -> ClassSums:
    """The sums of several blocks together, over the union of their classes."""
    classes = np.unique(np.concatenate([part.classes for part in parts]))
    check_class_count(len(classes))
    counts, totals = np.zeros(len(classes), np.int64), np.zeros((len(classes), parts[0].totals.shape[1]))
    gram = np.zeros_like(parts[0].gram)
    for part in parts:
        at = np.searchsorted(classes, part.classes)
        counts[at] += part.counts
        totals[at] += part.totals
        gram += part.gram
    return ClassSums(sum(part.rows for part in parts), gram, classes, counts, totals)


def narrow_classes(classes: NDArray[Any]) -> NDArray[Any]:
    """Classes (c,) ascending as int64 where that holds all of them."""
    return classes.astype(np.int64) if classes[-1] <= np.iinfo(np.int64).max else classes


def check_class_count(count: int) -> None:
    """InputError for more classes than make sense."""
    if count > MAX_CLASSES:
        raise InputError(
            f"{Word.TARGET}: holds more than {MAX_CLASSES:,} different values, too many for classes: "
            f"use {Word.REGRESSION}, or merge classes"
        )

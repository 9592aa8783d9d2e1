"""Sums over all rows of features f (r,) and targets y: all that Gaussian processes and ridges need of the data.

Targets are summed about their mean. Parts, each about its own, are brought together by shifting, never by subtracting
large sums: targets near 1e8 that vary by 1 keep their digits.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from landmark_ops.errors import InputError, Word
from landmark_ops.numerics.moments import Tile

F64 = NDArray[np.float64]
MAX_CLASSES = 1000  # each costs a readout of m numbers; more are most likely numbers, not classes
LARGEST_CLASS = 2.0**53  # integers are exact in float64 up to here


class TargetSums(NamedTuple):
    """Sums over `rows` rows of weight w = 1 / variance, with e = y - center and center the plain mean of y.

    gram (r, r): w f f^T. ones (r,): w f. fy (r,): w f e. weight, y, yy: w, w e, w e^2.
    log_variance: -log w. unexplained: k(x, x) - |f|^2.
    """

    rows: int
    center: float
    gram: F64
    ones: F64
    fy: F64
    weight: float
    y: float
    yy: float
    log_variance: float
    unexplained: float


def target_sums(tile: Tile, noise: float | None = None) -> TargetSums:
    """The sums of a tile; variance k(x, x) - |f|^2 + noise (FITC) where noise is given, 1 where not."""
    assert tile.y is not None
    F, unexplained = tile.placed[0]
    y = tile.y[:, 0]
    center = float(y.mean()) if len(y) else 0.0
    e = y - center
    variance = np.ones(len(y))
    if noise is not None:
        variance = np.maximum(unexplained, 0) + noise  # the difference may be -1e-12 by rounding
        root = np.sqrt(variance)
        F, e = F / root[:, None], e / root
    w = 1 / np.sqrt(variance)
    return TargetSums(
        len(y),
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


def add_target_sums(parts: list[TargetSums]) -> TargetSums:
    """The sums of several blocks together, about their common mean."""
    rows = sum(part.rows for part in parts)
    center = sum(part.rows * part.center for part in parts) / max(rows, 1)
    shifted = [about(part, center) for part in parts]
    return TargetSums(rows, center, *(sum(column) for column in zip(*shifted, strict=True)))


def about(part: TargetSums, center: float) -> tuple[F64 | float, ...]:
    """The sums, from gram on, with e = y - center for another center."""
    shift = part.center - center
    return (
        part.gram,
        part.ones,
        part.fy + shift * part.ones,
        part.weight,
        part.y + shift * part.weight,
        part.yy + 2 * shift * part.y + shift**2 * part.weight,
        part.log_variance,
        part.unexplained,
    )


class ClassSums(NamedTuple):
    """Sums over `rows` rows: gram (r, r) of f f^T; per class met, ascending, (c,): its rows, and sum of f (c, r)."""

    rows: int
    gram: F64
    classes: NDArray[np.int64]
    counts: NDArray[np.int64]
    totals: F64


def class_sums(tile: Tile) -> ClassSums:
    """The sums of a tile. InputError where targets are no integers or there are too many of them."""
    assert tile.y is not None
    F, y = tile.placed[0].embedding, tile.y[:, 0]
    wrong = y[(y != np.rint(y)) | (np.abs(y) > LARGEST_CLASS)]
    if len(wrong):
        raise InputError(
            f"{Word.TARGET}: {wrong[0]:g} is not a class, classes are integers up to 2^53: number them 0, 1, 2, ..., "
            f"or use {Word.REGRESSION}"
        )
    classes, at, counts = np.unique(y.astype(np.int64), return_inverse=True, return_counts=True)
    check_class_count(len(classes))
    one_hot = (at == np.arange(len(classes))[:, None]).astype(F.dtype)
    return ClassSums(len(y), np.asarray(F.T @ F, np.float64), classes, counts, np.asarray(one_hot @ F, np.float64))


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


def check_class_count(count: int) -> None:
    """InputError for more classes than make sense."""
    if count > MAX_CLASSES:
        raise InputError(
            f"{Word.TARGET}: holds more than {MAX_CLASSES:,} different values, too many for classes: "
            f"use {Word.REGRESSION}, or merge classes"
        )

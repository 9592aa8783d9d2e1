"""Sums over all rows of features f (r,) by class of the target: all that a ridge classifier needs of the data."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from landmark_ops.errors import InputError, Word
from landmark_ops.maps.moments import Tile
from landmark_ops.maps.target_numbers import LARGEST_EXACT

F64 = NDArray[np.float64]
MAX_CLASSES = 1000  # each costs a readout of m numbers; more are most likely numbers, not classes


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
    """The sums of several parts together, over the union of their classes."""
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

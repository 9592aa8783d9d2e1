"""Domains of metrics and kernels: the rows they are defined for, in code and in words.

Every row is checked in the pass that reads it: a row outside gets no coordinates, whichever rows are landmarks.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Mask = NDArray[np.bool_]


class Domain(NamedTuple):
    """A metric's or kernel's condition on each row: `within` (b, d) -> (b,) bool, and in words what rows outside do."""

    within: Callable[[Array], Mask]
    violation: str
    remedy: str


class Words(NamedTuple):
    """Why rows have no coordinates, in words that follow "3 rows", and what to do. {block} names the block."""

    what: str
    remedy: str


def not_negative(X: Array) -> Mask:
    """Rows (b, d) without a negative value, (b,)."""
    return np.asarray(~(X < 0).any(axis=1))


def not_zero(X: Array) -> Mask:
    """Rows with some value other than 0, (b,)."""
    return np.asarray(X.any(axis=1))


def histogram(X: Array) -> Mask:
    """Rows of values of at least 0, not all 0, (b,)."""
    return not_negative(X) & not_zero(X)


def some_ones(X: Array) -> Mask:
    """Rows of 0 and 1 with some 1, (b,)."""
    return zero_or_one(X) & not_zero(X)


def zero_or_one(X: Array) -> Mask:
    """Rows of 0 and 1, (b,)."""
    return np.asarray(((X == 0) | (X == 1)).all(axis=1))


def radians(X: Array) -> Mask:
    """Rows that are latitude and longitude in radians, (b,)."""
    limit = np.asarray([np.pi / 2, 2 * np.pi]) * (1 + 1e-6)
    return np.asarray((np.abs(X) <= limit).all(axis=1))

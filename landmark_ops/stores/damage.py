"""Damaged objects of an output: those that are gone, or are not what was committed."""

from __future__ import annotations

from typing import NamedTuple

from landmark_ops.row_range import RowRange


class Damage(NamedTuple):
    """One object of an output that is not what was committed."""

    array: str  # the array or group it belongs to
    key: str  # of the object, below the output
    what: str
    rows: RowRange | None = None  # that lie in it

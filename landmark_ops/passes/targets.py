"""One value per row that methods learn from, in a source of its own beside that of the rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from landmark_ops.errors import InputError, Word
from landmark_ops.numerics.random_streams import RowStream, row_numbers
from landmark_ops.stores.sources.rows import Rows


@dataclass(frozen=True)
class Targets:
    """One value per row, in a source of its own: `rows` (n, 1), and the share of rows held out for scoring."""

    rows: Rows
    held_out: float = 0.0
    seed: int = 0

    def read(self, start: int, stop: int) -> NDArray[Any]:
        """Targets of rows start..stop, (b, 1): integers as int64 or uint64, others as float64, NaN where there is none.

        Integers stay what they are: float64 tells no two apart beyond 2^53.
        """
        return as_numbers(self.rows.read(start, stop))

    def take(self, indices: NDArray[np.int64]) -> NDArray[Any]:
        """Targets of single rows, (len(indices), 1), as `read` gives them."""
        return as_numbers(self.rows.take(indices))

    def trains(self, start: int, stop: int) -> NDArray[np.bool_]:
        """Which of the rows start..stop are learned from, (b,): decided by seed and row index alone."""
        if self.held_out == 0:
            return np.ones(stop - start, bool)
        return row_numbers(self.seed, RowStream.HELD_OUT, start, stop) >= self.held_out


def check_targets(targets: Targets | None, rows: Rows, method: str) -> Targets:
    """The targets a supervised method needs; InputError where there are none or they do not fit the rows."""
    if targets is None:
        raise InputError(f"method {method} learns from a target and none is given: {Word.GIVE_TARGET}")
    if targets.rows.n != rows.n:
        raise InputError(
            f"{Word.TARGET} {targets.rows.uri}: {targets.rows.n:,} values for {rows.n:,} rows of {rows.uri}: one "
            "per row is needed"
        )
    if targets.rows.d != 1:
        raise InputError(
            f"{Word.TARGET} {targets.rows.uri}: {targets.rows.d} values per row, one is needed: choose one "
            "column or array"
        )
    return targets


def as_numbers(y: NDArray[Any]) -> NDArray[Any]:
    """Stored numbers as int64, uint64 (where they are 64 bits wide and unsigned) or float64."""
    if y.dtype.kind not in "iub":
        return np.asarray(y, np.float64)
    return np.asarray(y, np.uint64 if y.dtype == np.uint64 else np.int64)

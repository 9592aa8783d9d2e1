"""The support: the rows of a source that a neighbour graph connects, all of them or some."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from landmark_ops.engine.protocol import Engine
from landmark_ops.errors import InputError
from landmark_ops.numerics.distances import Array
from landmark_ops.passes.grid import power_of_two
from landmark_ops.passes.lookup import gather
from landmark_ops.passes.ranges import TASK_BYTES, ranges
from landmark_ops.row_range import RowRange
from landmark_ops.stores.sources.rows import Rows

I64 = NDArray[np.int64]

MAX_SUPPORT = 1_000_000  # rows of a graph: beyond, indices of a sample have to be given


class Support(NamedTuple):
    """Rows of a source: those at the ascending `indices` (s,), or all of them for None."""

    rows: Rows
    indices: I64 | None

    @property
    def size(self) -> int:
        """s."""
        return self.rows.n if self.indices is None else len(self.indices)

    def numbers(self, item: RowRange) -> I64:
        """Row numbers in the source of support rows item[0]..item[1]."""
        return np.arange(*item, dtype=np.int64) if self.indices is None else self.indices[slice(*item)]

    def read(self, item: RowRange) -> Array:
        """Support rows item[0]..item[1], as stored."""
        return self.rows.read(*item) if self.indices is None else self.rows.take(self.numbers(item))

    def gather(self, engine: Engine) -> Array:
        """All of them, (s, d) as stored, read in parallel."""
        if self.indices is not None:
            return gather(self.rows, self.indices, engine)
        out = np.empty((self.size, self.rows.d), self.rows.dtype)
        for item, points in engine.imap(read_block, ranges(self.size, block_step(self.rows.d)), self):
            out[slice(*item)] = points
        return out


def read_block(item: RowRange, support: Support) -> Array:
    """Support rows item[0]..item[1], as stored."""
    return support.read(item)


def block_step(d: int) -> int:
    """Rows per task where rows are only read and assigned: a power of two, as chunks mostly are; 8 to 16 MiB.

    Assigned rows come back to the flow's process, where a window of tasks may be waiting.
    """
    return power_of_two(TASK_BYTES // 2 // (4 * d))


def check_support(rows: Rows, support_indices: I64 | None) -> I64:
    """The support as ascending row indices (s,); refuses unsorted, repeated or foreign ones, and too many."""
    if support_indices is None:
        if rows.n > MAX_SUPPORT:
            raise InputError(
                f"{rows.uri}: {rows.n} rows, a neighbour graph takes {MAX_SUPPORT} at most: give a sample of them as "
                "the support (max_support)"
            )
        return np.arange(rows.n, dtype=np.int64)
    indices = np.asarray(support_indices, np.int64)
    if len(indices) and ((np.diff(indices) <= 0).any() or indices[0] < 0 or indices[-1] >= rows.n):
        raise ValueError(f"support indices must ascend without repeats within rows 0..{rows.n}")
    return indices

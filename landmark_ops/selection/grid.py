"""The fixed grid all strategies work on, and rows read along it.

Nothing here knows how many workers there are, and storage chunks only decide which rows are read together: block
bounds depend on n, m and d alone.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from landmark_ops.engine.protocol import Engine
from landmark_ops.row_range import Done, RowRange
from landmark_ops.stores.sources.rows import Rows

BLOCK_ELEMENTS = 1 << 22  # 32 MiB of float64 per block
BLOCK_ROWS = (1 << 10, 1 << 18)  # at least, at most


def power_of_two(value: int) -> int:
    """The largest power of two that is at most `value` (at least 1)."""
    return 1 << (max(value, 1).bit_length() - 1)


def block_rows(d: int) -> int:
    """Rows per block: a power of two, about 32 MiB of float64, so mostly a multiple of the storage chunks."""
    low, high = BLOCK_ROWS
    return min(max(power_of_two(BLOCK_ELEMENTS // d), low), high)


def grid(n: int, size: int) -> list[RowRange]:
    """The ranges (start, stop) of `size` rows that cover 0..n; the last one may be shorter."""
    return [RowRange(start, min(start + size, n)) for start in range(0, n, size)]


def cells(rows: Rows, indices: NDArray[np.int64]) -> list[RowRange]:
    """The ranges, whole storage chunks each, that hold any of the rows `indices`."""
    chunk = max(rows.chunk_rows, 1)
    size = -(-block_rows(rows.d) // chunk) * chunk
    return [RowRange(int(c) * size, min((int(c) + 1) * size, rows.n)) for c in np.unique(indices // size)]


def gather(rows: Rows, indices: NDArray[np.int64], engine: Engine, done: Done | None = None) -> NDArray[Any]:
    """The rows at `indices`, in that order, (len(indices), d) stored dtype, read by all workers."""
    order = np.argsort(indices, kind="stable")
    ranked = indices[order]
    out = np.empty((len(indices), rows.d), rows.dtype)
    for (start, stop), points in engine.imap(take_cell, cells(rows, indices), rows, ranked, done=done):
        low, high = np.searchsorted(ranked, [start, stop])
        out[order[low:high]] = points
    return out


def take_cell(item: RowRange, rows: Rows, ranked: NDArray[np.int64]) -> NDArray[Any]:
    """The rows of one range that are among the ascending `ranked`."""
    low, high = np.searchsorted(ranked, item)
    return rows.take(ranked[low:high])

"""Rows by their numbers, read by all workers.

Storage chunks only decide which rows are read together.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from landmark_ops.engine.protocol import Engine
from landmark_ops.passes.grid import block_rows
from landmark_ops.row_range import Done, RowRange
from landmark_ops.stores.sources.rows import Rows


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

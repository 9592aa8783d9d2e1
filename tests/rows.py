"""Rows for tests: an array pretending to be stored in chunks of any size."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from landmark_ops.stores.sources.rows import ArrayRows


class ChunkedRows(ArrayRows):
    """`array` as rows stored in chunks of `chunk_rows`."""

    def __init__(self, array: NDArray[Any], chunk_rows: int) -> None:
        super().__init__(array)
        self.chunk_rows = chunk_rows

"""Rows by their numbers, whatever the chunks they lie in."""

from __future__ import annotations

import numpy as np
import pytest

from landmark_ops.engine.threads import LocalEngine
from landmark_ops.passes.grid import block_rows
from landmark_ops.passes.lookup import cells, gather
from tests.rows import ChunkedRows


@pytest.mark.parametrize(("d", "expected"), [(1, 262_144), (16, 262_144), (192, 16_384), (150_528, 1_024)])
def test_blocks_are_32_mib_powers_of_two_within_bounds(d: int, expected: int) -> None:
    assert block_rows(d) == expected


@pytest.mark.parametrize("chunk", [1, 3, 1_000, 100_000, 1_000_000])
def test_gather_keeps_the_order_asked_for(chunk: int) -> None:
    X = np.arange(600_000, dtype=np.float32).reshape(-1, 2)
    rows = ChunkedRows(X, chunk)
    indices = np.array([299_999, 5, 5, 262_144, 0, 262_143])
    np.testing.assert_array_equal(gather(rows, indices, LocalEngine(2)), X[indices])
    assert all(start % chunk == 0 and (stop % chunk == 0 or stop == rows.n) for start, stop in cells(rows, indices))

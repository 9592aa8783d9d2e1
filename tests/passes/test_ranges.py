from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from landmark_ops.passes.ranges import FEW, MAX_ROWS, SMALL_BYTES, TASK_BYTES, ranges, task_rows
from landmark_ops.stores.sources.rows import Rows


class Sizes(Rows):
    """Rows of any size, never read."""

    def __init__(self, n: int, d: int, dtype: str, chunk_rows: int) -> None:
        self.n, self.d, self.dtype, self.chunk_rows = n, d, np.dtype(dtype), chunk_rows

    def read(self, start, stop):
        raise AssertionError("the size of a task is decided without reading")

    fingerprint = read


SIZES = st.builds(
    Sizes,
    st.integers(1, 10**12),
    st.integers(1, 10**6),
    st.sampled_from(["u1", "f2", "f4", "f8"]),
    st.integers(1, 10**7),
)


@given(n=st.integers(0, 3000), step=st.integers(1, 4000))
def test_ranges_cover_all_rows_once(n, step):
    found = ranges(n, step)
    assert [row for start, stop in found for row in range(start, stop)] == list(range(n))
    assert all(stop - start == step for start, stop in found[:-1])
    assert all(0 < stop - start <= step for start, stop in found)


@given(rows=SIZES, k=st.integers(1, 5000))
def test_tasks_are_whole_chunks(rows, k):
    """Two tasks never decode, and never write, the same chunk."""
    step = task_rows(rows, k)
    assert 1 <= step <= rows.n
    assert step == rows.n or step % rows.chunk_rows == 0


@given(rows=SIZES, k=st.integers(1, 5000))
def test_tasks_are_small_unless_a_chunk_is_large(rows, k):
    step = task_rows(rows, k)
    row_bytes = rows.d * rows.dtype.itemsize
    one_chunk = min(rows.chunk_rows, rows.n)
    if step > max(one_chunk, 1):
        assert step * row_bytes <= TASK_BYTES
        assert step * k * 4 <= TASK_BYTES
        assert step <= MAX_ROWS


@given(rows=SIZES, k=st.integers(1, 5000))
def test_sources_worth_sharing_are_shared(rows, k):
    """Above 8 MiB a few workers have something to do, unless the chunks of the source forbid it."""
    step = task_rows(rows, k)
    if rows.n * rows.d * rows.dtype.itemsize > SMALL_BYTES and rows.n >= FEW:
        assert step == min(rows.chunk_rows, rows.n) or len(range(0, rows.n, step)) >= FEW


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (Sizes(1, 1, "f4", 1), 1),  # one row
        (Sizes(1000, 10, "f4", 1), 1000),  # small: one task
        (Sizes(1000, 10, "f4", 300), 1000),  # all chunks, the last one shorter
        (Sizes(1000, 10, "f4", 5000), 1000),  # a chunk longer than the array
        (Sizes(10**9, 192, "f4", 16_384), 2 * 16_384),  # 32 MiB of the demo's rows are 43,690
        (Sizes(10**9, 192, "f4", 10**6), 10**6),  # one chunk larger than a task
        (Sizes(10**9, 1, "u1", 1), MAX_ROWS),  # narrow rows
        (Sizes(10, 10**8, "f4", 1), 1),  # a row larger than a task
    ],
)
def test_named_cases(rows, expected):
    assert task_rows(rows) == expected


def test_workers_do_not_matter(monkeypatch):
    """The order of summation follows the tasks, so tasks must not follow the machine."""
    rows = Sizes(10**8, 100, "f4", 1000)
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: {0})
    monkeypatch.setattr("os.cpu_count", lambda: 1)
    one = task_rows(rows, 10)
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: set(range(96)))
    monkeypatch.setattr("os.cpu_count", lambda: 96)
    assert task_rows(rows, 10) == one

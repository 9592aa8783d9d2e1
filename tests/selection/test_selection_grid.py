from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist

from landmark_ops.engine.threads import LocalEngine
from landmark_ops.errors import InputError
from landmark_ops.numerics.distances import Metric
from landmark_ops.numerics.random_streams import RowStream, row_numbers
from landmark_ops.passes.grid import block_rows
from landmark_ops.passes.lookup import cells, gather
from landmark_ops.passes.ranges import ranges
from landmark_ops.selection.nearest import gaps_to, nearest
from landmark_ops.selection.usable_rows import good, usable, working_rows

EUCLIDEAN = Metric("euclidean")


@given(
    st.integers(0, 2**63 - 1),
    st.integers(0, 9),
    st.integers(0, 10**12),
    st.lists(st.integers(0, 40), max_size=6),
)
@settings(max_examples=60, deadline=None)
def test_row_numbers_are_the_same_stream_however_it_is_split(
    seed: int, stream: int, start: int, lengths: list[int]
) -> None:
    bounds = start + np.cumsum([0, *lengths])
    whole = row_numbers(seed, RowStream.LEVERAGE_ROWS, start, int(bounds[-1]), stream)
    parts = [row_numbers(seed, RowStream.LEVERAGE_ROWS, int(a), int(b), stream) for a, b in pairwise(bounds)]
    np.testing.assert_array_equal(whole, np.concatenate([np.empty(0), *parts]))


def test_row_numbers_start_as_philox_does_and_differ_by_seed_and_stream() -> None:
    key = np.array([7, 2], np.uint64)
    np.testing.assert_array_equal(
        row_numbers(7, RowStream.LEVERAGE_ROWS, 0, 50, 2), np.random.Generator(np.random.Philox(key=key)).random(50)
    )
    draws = [row_numbers(seed, RowStream.LEVERAGE_ROWS, 0, 20_000, stream) for seed, stream in ((0, 0), (0, 1), (1, 0))]
    assert np.abs(np.corrcoef(draws) - np.eye(3)).max() < 0.03
    assert abs(draws[0].mean() - 0.5) < 0.01


@pytest.mark.parametrize(("d", "expected"), [(1, 262_144), (16, 262_144), (192, 16_384), (150_528, 1_024)])
def test_blocks_are_32_mib_powers_of_two_within_bounds(d: int, expected: int) -> None:
    assert block_rows(d) == expected


def test_grid_covers_every_row_once() -> None:
    assert ranges(10, 4) == [(0, 4), (4, 8), (8, 10)]


@pytest.mark.parametrize("chunk", [1, 3, 1_000, 100_000, 1_000_000])
def test_gather_keeps_the_order_asked_for(chunk: int, chunked: Callable[..., Any]) -> None:
    X = np.arange(600_000, dtype=np.float32).reshape(-1, 2)
    rows = chunked(X, chunk)
    indices = np.array([299_999, 5, 5, 262_144, 0, 262_143])
    np.testing.assert_array_equal(gather(rows, indices, LocalEngine(2)), X[indices])
    assert all(start % chunk == 0 and (stop % chunk == 0 or stop == rows.n) for start, stop in cells(rows, indices))


def test_working_rows_hold_the_stored_values_exactly() -> None:
    for dtype, working in (("u1", "f4"), ("f2", "f4"), ("f4", "f4"), ("i4", "f8"), ("f8", "f8"), ("?", "f4")):
        assert working_rows(np.ones((2, 3), dtype), EUCLIDEAN).dtype == np.dtype(working)
    assert working_rows(np.ones((2, 3), np.float32), Metric("cityblock")).dtype == np.float64


def test_usable_rows_are_finite_and_have_a_direction_where_needed() -> None:
    X = np.array([[1.0, 2.0], [np.nan, 1.0], [0.0, 0.0], [3.0, 3.0], [np.inf, 0.0]])
    assert good(X).tolist() == [True, False, True, True, False]
    assert usable(X, EUCLIDEAN).tolist() == [True, False, True, True, False]
    assert usable(X, Metric("cosine")).tolist() == [True, False, False, True, False]
    assert usable(X, Metric("correlation")).tolist() == [True, False, False, False, False]
    assert good(np.ones((2, 2), int)).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("offset", [0.0, 100.0])
def test_nearest_agrees_with_differences_in_float64(dtype: type, offset: float, rng: np.random.Generator) -> None:
    X = (rng.normal(size=(700, 30)) + offset).astype(dtype)
    Z = np.concatenate([X[:90], rng.normal(size=(10, 30)).astype(dtype) + dtype(offset)])
    exact = cdist(X, Z, "sqeuclidean")
    which, gaps = nearest(X, Z, EUCLIDEAN)
    np.testing.assert_array_equal(which, exact.argmin(axis=1))
    np.testing.assert_allclose(gaps, exact.min(axis=1), rtol=1e-12)
    assert (gaps[:90] == 0).all()


def test_nearest_breaks_exact_ties_by_the_lowest_index(rng: np.random.Generator) -> None:
    X = rng.integers(0, 3, size=(2_000, 4)).astype(np.float32)
    Z = np.concatenate([X[:40], X[:40]])
    exact = cdist(X, Z, "sqeuclidean")
    which, gaps = nearest(X, Z, EUCLIDEAN)
    np.testing.assert_array_equal(which, exact.argmin(axis=1))
    np.testing.assert_array_equal(gaps, exact.min(axis=1))


def test_nearest_of_rows_too_large_for_float32_products() -> None:
    X = np.array([[1e30, 0.0], [0.0, 2e30], [0.0, 1.9e30]], np.float32)
    assert nearest(X, X[:2], EUCLIDEAN).which.tolist() == [0, 1, 1]


@pytest.mark.parametrize("name", ["cityblock", "braycurtis", "hamming"])
def test_nearest_under_other_metrics(name: str, rng: np.random.Generator) -> None:
    X = rng.integers(1, 5, size=(300, 5)).astype(float)
    which, gaps = nearest(X, X[:40], Metric(name))
    np.testing.assert_array_equal(which, cdist(X, X[:40], name).argmin(axis=1))
    np.testing.assert_array_equal(gaps, cdist(X, X[:40], name).min(axis=1))
    np.testing.assert_array_equal(gaps_to(X, X[3], Metric(name)), cdist(X, X[3:4], name)[:, 0])


def test_an_undefined_distance_is_an_error() -> None:
    zeros = np.zeros((2, 3))
    with pytest.raises(InputError, match="metric braycurtis: 2 distances among the rows are NaN or Inf"):
        nearest(zeros, zeros, Metric("braycurtis"))
    huge = np.array([[1e200], [-1e200]])
    with pytest.raises(InputError, match="scale the rows"):
        gaps_to(huge, huge[0], EUCLIDEAN)

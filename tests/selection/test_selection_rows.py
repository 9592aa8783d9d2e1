"""Which rows can be landmarks, and which of some points is nearest to each."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from landmark_ops.errors import InputError
from landmark_ops.numerics.metric import Metric
from landmark_ops.selection.nearest import gaps_to, nearest
from landmark_ops.selection.usable_rows import good, usable, working_rows

EUCLIDEAN = Metric("euclidean")


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

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from landmark_ops.maps.landmark_map import LandmarkMap
from landmark_ops.maps.moments import SUM_ROWS, Moments, add_moments, moments
from landmark_ops.methods.landmark_mds import LandmarkMDSMethod
from landmark_ops.numerics.kernel import KernelChoice
from landmark_ops.passes.sums import sum_block
from landmark_ops.solver.features import nystrom_features
from landmark_ops.stores.sources.rows import ArrayRows

X = np.random.default_rng(0).normal(size=(SUM_ROWS + 700, 4))
FEATURES = nystrom_features(KernelChoice("rbf", gamma=0.3), X[:30], np.dtype(np.float64), 6).map
F = FEATURES(X)


def moments_of(fitted: LandmarkMap, rows: np.ndarray) -> Moments:
    """The moments of a map's outputs, as one task of a pass over the rows sums them."""
    (found,) = sum_block((0, len(rows)), ArrayRows(rows), (moments(fitted),), None).values
    assert isinstance(found, Moments)
    return found


@pytest.mark.parametrize("rows", [1, 2, SUM_ROWS, SUM_ROWS + 1, SUM_ROWS + 700])
def test_moments_are_those_of_dense_numpy(rows):
    found = moments_of(FEATURES, X[:rows])
    assert found.rows == rows
    np.testing.assert_allclose(found.total, F[:rows].sum(axis=0), rtol=1e-12, atol=1e-9)
    np.testing.assert_allclose(found.second, F[:rows].T @ F[:rows], rtol=1e-12, atol=1e-9)
    np.testing.assert_allclose(found.mean, F[:rows].mean(axis=0), atol=1e-12)
    np.testing.assert_allclose(found.covariance, np.cov(F[:rows].T, bias=True), atol=1e-12)


def test_float32_rows_are_summed_in_float64():
    """Products of 4,096 rows are float32, their sum is not: at a million rows a float32 sum would have lost 1e-3."""
    narrow = X.astype(np.float32)
    found = moments_of(FEATURES, narrow)
    assert found.total.dtype == found.second.dtype == np.float64
    np.testing.assert_allclose(found.total, F.sum(axis=0), rtol=1e-4, atol=1e-2)
    np.testing.assert_allclose(found.second, F.T @ F, rtol=1e-4, atol=1e-2)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_bad_rows_are_left_out(value):
    bad = X[:500].copy()
    bad[[0, 3, 499], [0, 1, 2]] = value
    found = moments_of(FEATURES, bad)
    good = np.delete(F[:500], [0, 3, 499], axis=0)
    assert found.rows == 497
    np.testing.assert_allclose(found.total, good.sum(axis=0), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(found.second, good.T @ good, rtol=1e-12, atol=1e-12)


def test_no_good_rows():
    found = moments_of(FEATURES, np.full((5, 4), np.nan))
    assert found.rows == 0
    assert not found.total.any()
    assert not found.second.any()


@given(cuts=st.sets(st.integers(1, 499), max_size=6))
@settings(max_examples=30, deadline=None)
def test_parts_add_up(cuts):
    whole = moments_of(FEATURES, X[:500])
    found = add_moments([moments_of(FEATURES, part) for part in np.split(X[:500], sorted(cuts))])
    assert found.rows == whole.rows
    np.testing.assert_allclose(found.total, whole.total, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(found.second, whole.second, rtol=1e-12, atol=1e-12)


def test_one_part_is_itself():
    part = Moments(3, np.arange(2.0), np.eye(2))
    found = add_moments([part])
    assert found.rows == 3
    np.testing.assert_array_equal(found.total, part.total)
    np.testing.assert_array_equal(found.second, part.second)


def test_moments_of_a_collapsed_map():
    mapped = LandmarkMDSMethod(3).start(X[:30], np.dtype(np.float64)).map
    assert mapped.collapsed
    placed = mapped(X)
    np.testing.assert_allclose(moments_of(mapped, X).second, placed.T @ placed, rtol=1e-10, atol=1e-8)

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from landmark_ops.engine.threads import LocalEngine
from landmark_ops.errors import InputError
from landmark_ops.maps.moments import Sum, Tile, moments, totals
from landmark_ops.numerics.kernel import KernelChoice
from landmark_ops.passes.ranges import ranges
from landmark_ops.passes.sums import sum_block, sum_over
from landmark_ops.passes.targets import Targets, check_targets
from landmark_ops.solver.features import nystrom_features
from landmark_ops.stores.sources.rows import ArrayRows
from tests.rows import ChunkedRows

X = np.random.default_rng(0).normal(size=(500, 4))
FEATURES = nystrom_features(KernelChoice("rbf", gamma=0.3), X[:30], np.dtype(np.float64), 5).map


@given(step=st.integers(1, 600), workers=st.integers(1, 4))
@settings(max_examples=20, deadline=None)
def test_sums_over_blocks_are_those_of_all_rows(step, workers):
    F = FEATURES(X)
    seen: list[tuple[int, int]] = []
    items = ranges(500, step)
    summed = sum_over(
        ChunkedRows(X, 7), [moments(FEATURES), totals(FEATURES)], LocalEngine(workers), items, None, seen.append
    )
    found, first = summed.values
    assert summed.rows == found.rows == first.rows == 500
    np.testing.assert_array_equal(first.total, found.total)
    np.testing.assert_allclose(found.total, F.sum(axis=0), rtol=1e-12, atol=1e-10)
    np.testing.assert_allclose(found.second, F.T @ F, rtol=1e-12, atol=1e-10)
    assert sorted(seen) == items


def test_one_block_reads_its_rows_only():
    F = FEATURES(X[20:31])
    found = sum_block((20, 31), ChunkedRows(X, 7), (moments(FEATURES),), None).values[0]
    assert found.rows == 11
    np.testing.assert_allclose(found.second, F.T @ F, rtol=1e-12, atol=1e-12)


def test_bad_rows_are_not_counted():
    bad = X.copy()
    bad[[0, 99, 100, 499]] = np.nan
    summed = sum_over(ChunkedRows(bad, 50), [moments(FEATURES)], LocalEngine(2), ranges(500, 100))
    (found,) = summed.values
    assert summed.rows == 496
    F = FEATURES(np.delete(X, [0, 99, 100, 499], axis=0))
    assert found.rows == 496
    np.testing.assert_allclose(found.second, F.T @ F, rtol=1e-12, atol=1e-10)


def y_total(tile: Tile) -> np.ndarray:
    return np.append(tile.y.sum(axis=0), len(tile.y))


@given(step=st.integers(1, 600))
@settings(max_examples=10, deadline=None)
def test_rows_held_out_or_without_target_are_not_learned_from(step):
    y = np.arange(500.0)[:, None]
    y[[3, 77]] = np.nan
    targets = Targets(ArrayRows(y), 0.3, seed=5)
    ask = Sum((FEATURES,), y_total, lambda parts: np.sum(parts, axis=0), targets=True)
    summed = sum_over(ChunkedRows(X, 7), [ask, moments(FEATURES)], LocalEngine(2), ranges(500, step), targets)
    trains = targets.trains(0, 500)
    assert 100 < (~trains).sum() < 200
    keep = trains & np.isfinite(y[:, 0])
    np.testing.assert_allclose(summed.values[0], [y[keep].sum(), keep.sum()])
    assert summed.values[1].rows == 500  # sums that do not look at targets take every row


@pytest.mark.parametrize(
    ("targets", "message"),
    [
        (None, r"method ridge learns from a target and none is given: set target: .*"),
        (Targets(ArrayRows(np.zeros((3, 1)))), r"target <memory>: 3 values for 500 rows of <memory>: one per row .*"),
        (Targets(ArrayRows(np.zeros((500, 2)))), r"target <memory>: 2 values per row, one is needed: choose .*"),
    ],
)
def test_unfit_targets_are_refused(targets, message):
    with pytest.raises(InputError, match=message):
        check_targets(targets, ArrayRows(X), "ridge")

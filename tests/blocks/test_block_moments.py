from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from landmark_ops.blocks.engine import LocalEngine
from landmark_ops.blocks.moments import block_moments, sum_moments
from landmark_ops.blocks.ranges import ranges
from landmark_ops.methods.nystroem import NystroemMethod
from tests.rows import ChunkedRows

X = np.random.default_rng(0).normal(size=(500, 4))
FEATURES = NystroemMethod(5, "rbf", gamma=0.3).start(X[:30], np.dtype(np.float64)).map


@given(step=st.integers(1, 600), workers=st.integers(1, 4))
@settings(max_examples=20, deadline=None)
def test_sums_over_blocks_are_those_of_all_rows(step, workers):
    F = FEATURES(X)
    seen: list[tuple[int, int]] = []
    items = ranges(500, step)
    found = sum_moments(ChunkedRows(X, 7), FEATURES, LocalEngine(workers), items, seen.append)
    assert found.rows == 500
    np.testing.assert_allclose(found.total, F.sum(axis=0), rtol=1e-12, atol=1e-10)
    np.testing.assert_allclose(found.second, F.T @ F, rtol=1e-12, atol=1e-10)
    assert sorted(seen) == items


def test_one_block_reads_its_rows_only():
    F = FEATURES(X[20:31])
    found = block_moments((20, 31), ChunkedRows(X, 7), FEATURES)
    assert found.rows == 11
    np.testing.assert_allclose(found.second, F.T @ F, rtol=1e-12, atol=1e-12)


def test_bad_rows_are_not_counted():
    bad = X.copy()
    bad[[0, 99, 100, 499]] = np.nan
    found = sum_moments(ChunkedRows(bad, 50), FEATURES, LocalEngine(2), ranges(500, 100))
    F = FEATURES(np.delete(X, [0, 99, 100, 499], axis=0))
    assert found.rows == 496
    np.testing.assert_allclose(found.second, F.T @ F, rtol=1e-12, atol=1e-10)

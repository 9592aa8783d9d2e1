"""Errors of kernel approximations against dense matrices."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics.pairwise import rbf_kernel

from landmark_ops.engine.threads import LocalEngine
from landmark_ops.errors import InputError
from landmark_ops.maps.pair_errors import check_features, frobenius_error, pair_ratio
from landmark_ops.maps.trace_error import sampled_trace_error
from landmark_ops.methods.landmark_mds import LandmarkMDSMethod
from landmark_ops.numerics.kernel import KernelChoice
from landmark_ops.passes.ranges import ranges
from landmark_ops.solver.asks import Source
from landmark_ops.solver.features import nystrom_features
from landmark_ops.solver.nystrom_error import nystrom_error
from tests.rows import ChunkedRows

F64 = np.dtype(np.float64)
X = np.random.default_rng(2).normal(size=(700, 3))
Z = X[:25]
GAMMA = 0.3
FEATURES = nystrom_features(KernelChoice(gamma=GAMMA), Z, F64).map
K = rbf_kernel(X, gamma=GAMMA)
APPROXIMATION = FEATURES(X) @ FEATURES(X).T


def source(step: int = 150, workers: int = 2) -> Source:
    return Source(ChunkedRows(X, 40), LocalEngine(workers), ranges(len(X), step), seed=0)


@pytest.mark.parametrize(("step", "workers"), [(700, 1), (150, 2), (33, 3)])
def test_the_trace_error_is_exact(step, workers):
    errors = nystrom_error(FEATURES, source(step, workers))
    expected = np.trace(K - APPROXIMATION) / np.trace(K)
    assert errors.trace.value == pytest.approx(expected, rel=1e-9)
    assert errors.trace.rows == 700
    assert errors.trace.standard_error is None


def test_of_other_kernel_methods_it_is_that_of_all_their_features():
    few = nystrom_features(KernelChoice(gamma=GAMMA), Z, F64, 3).map
    block = FEATURES.block
    scaled = type(few)(few.landmarks, block, few.readout, few.offset, None)  # no features: as of a spectral method
    expected = np.trace(K - APPROXIMATION) / np.trace(K)
    assert nystrom_error(scaled, source()).trace.value == pytest.approx(expected, rel=1e-9)
    assert nystrom_error(few, source()).trace.value > expected  # and of features as they are


def test_where_all_pairs_are_looked_at_the_frobenius_error_is_exact():
    error = frobenius_error(FEATURES, X, len(X))
    assert error.value == pytest.approx(np.linalg.norm(K - APPROXIMATION) / np.linalg.norm(K), rel=1e-9)
    assert error.standard_error == 0


def test_sampled_errors_cover_the_truth():
    """Within three standard errors, of a hundred draws all but a few: a normal law would leave out 0.3."""
    rng = np.random.default_rng(0)
    frobenius = np.linalg.norm(K - APPROXIMATION) / np.linalg.norm(K)
    trace = np.trace(K - APPROXIMATION) / np.trace(K)
    missed = [0, 0]
    for _ in range(100):
        drawn = X[rng.choice(700, 150, replace=False)]
        for at, (found, truth) in enumerate(
            ((frobenius_error(FEATURES, drawn, 700), frobenius), (sampled_trace_error(FEATURES, drawn, 700), trace))
        ):
            missed[at] += abs(found.value - truth) > 3 * found.standard_error
    assert max(missed) <= 5


def test_pair_ratios_of_all_rows_have_no_error(rng):
    above, below = rng.random((20, 20)), 1 + rng.random((20, 20))
    found = pair_ratio(above + above.T, below + below.T, 20)
    assert found.value == pytest.approx(np.sqrt(above.sum() / below.sum()))
    assert found.standard_error == 0


def test_distances_have_no_kernel_error():
    assert nystrom_error(LandmarkMDSMethod(2).start(Z, F64).map, source()) is None


def test_only_features_are_features():
    with pytest.raises(InputError, match="gives no Nystrom features"):
        check_features(LandmarkMDSMethod(2).start(Z, F64).map)

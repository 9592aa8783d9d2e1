import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist
from sklearn.metrics.pairwise import haversine_distances, nan_euclidean_distances

from landmark_ops import InputError
from landmark_ops.numerics.distances import sq_euclidean
from landmark_ops.numerics.metric import METRICS, Metric, dists, resolve_metric, sq_dists
from landmark_ops.numerics.metrics.boolean import Boolean

BOOLEAN = [one.name for one in METRICS if isinstance(one, Boolean)]
SCIPY = [
    one.name
    for one in METRICS
    if one.transform is None and one.name not in ("haversine", "nan_euclidean", "precomputed")
]


@pytest.mark.parametrize("name", SCIPY)
def test_scipy_metrics_equal_scipy(name, rng):
    X, Z = rng.random((30, 6)), rng.random((9, 6))
    if name in BOOLEAN:
        X, Z = X > 0.5, Z > 0.5
    metric = resolve_metric(name, None, Z if name not in BOOLEAN else Z.astype(float))
    expected = cdist(X, Z, name, **metric.params)
    np.testing.assert_allclose(dists(X.astype(float), Z.astype(float), metric), expected, rtol=1e-12)


def test_cosine_and_correlation_are_squared_chords(rng):
    X, Z = rng.normal(size=(20, 5)), rng.normal(size=(7, 5))
    for name in ("cosine", "correlation"):
        np.testing.assert_allclose(sq_dists(X, Z, Metric(name)), 2 * cdist(X, Z, name), atol=1e-13)
    np.testing.assert_allclose(sq_dists(X, Z, Metric("sqeuclidean")), cdist(X, Z, "sqeuclidean"), rtol=1e-12)


def test_haversine_and_nan_euclidean_equal_sklearn(rng):
    X, Z = rng.uniform(-1.5, 1.5, (12, 2)), rng.uniform(-1.5, 1.5, (5, 2))
    np.testing.assert_allclose(dists(X, Z, Metric("haversine")), haversine_distances(X, Z), rtol=1e-12)
    X[3, 1] = np.nan
    np.testing.assert_allclose(dists(X, Z, Metric("nan_euclidean")), nan_euclidean_distances(X, Z), rtol=1e-12)


@settings(deadline=None, max_examples=40)
@given(offset=st.floats(-1e4, 1e4), scale=st.floats(1e-3, 1e3), seed=st.integers(0, 99))
def test_float32_squared_distances_survive_offsets(offset, scale, seed):
    """Rounding of the inputs themselves is the only error an offset may bring: eps * offset per coordinate."""
    rng = np.random.default_rng(seed)
    X = (rng.normal(size=(15, 8)) * scale + offset).astype(np.float32)
    exact = cdist(X.astype(float), X.astype(float), "sqeuclidean")
    found = sq_euclidean(X, X)
    assert (found >= 0).all()
    assert (np.diag(found) == 0).all()
    np.testing.assert_allclose(found, exact, rtol=1e-4, atol=1e-4 * max(exact.max(), 1e-30))


def test_near_duplicates_are_recomputed_in_float32():
    Z = np.random.default_rng(0).normal(size=(50, 20)).astype(np.float32)
    X = Z + np.float32(1e-3)
    exact = ((X.astype(float) - Z.astype(float)) ** 2).sum(axis=1)
    np.testing.assert_allclose(
        np.diag(sq_euclidean(X, Z)), exact, rtol=1e-4
    )  # what rounding leaves of x and z themselves


def test_callables_on_blocks_and_on_pairs_agree(rng):
    X, Z = rng.normal(size=(8, 3)), rng.normal(size=(4, 3))
    block = resolve_metric(lambda A, B: cdist(A, B, "cityblock"), None, Z)
    pairs = resolve_metric(lambda a, b: float(np.abs(a - b).sum()), None, Z)
    assert block.blockwise
    assert not pairs.blockwise
    np.testing.assert_allclose(dists(X, Z, block), dists(X, Z, pairs))


def test_estimated_parameters_do_not_depend_on_the_block(rng):
    Z, X = rng.normal(size=(40, 3)), rng.normal(size=(10, 3))
    for name in ("seuclidean", "mahalanobis"):
        metric = resolve_metric(name, None, Z)
        np.testing.assert_array_equal(dists(X, Z, metric)[:4], dists(X[:4], Z, metric))


@pytest.mark.parametrize(
    ("metric", "params", "message"),
    [
        ("euclidian", None, "unknown: did you mean euclidean"),
        ("minkowski", {"p": 0.5}, "p=0.5 for minkowski must be at least 1"),
        ("euclidean", {"p": 2}, "'p' is no parameter of euclidean"),
        ("seuclidean", {"V": [1.0, 0.0, 1.0]}, "3 positive variances"),
        ("haversine", None, "needs 2: latitude, longitude"),
    ],
)
def test_impossible_metrics_are_refused(metric, params, message):
    with pytest.raises(InputError, match=message):
        resolve_metric(metric, params, np.eye(3))


def test_every_family_member_names_its_transform():
    assert {one.transform for one in METRICS if one.transform is not None} == {"none", "unit", "center_unit"}

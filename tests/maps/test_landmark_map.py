import pickle

import numpy as np
import pytest
from scipy.spatial.distance import cdist
from sklearn.gaussian_process.kernels import Matern
from sklearn.metrics.pairwise import pairwise_kernels

from landmark_ops import InputError, LandmarkMap
from landmark_ops.maps.evaluation import TILE_ROWS, compute_dtype
from landmark_ops.methods.landmark_mds import LandmarkMDSMethod
from landmark_ops.methods.nystroem import NystroemMethod
from landmark_ops.numerics.kernel import Kernel, KernelChoice
from landmark_ops.numerics.metric import Metric
from landmark_ops.solver.features import nystrom_features

F64 = np.dtype(np.float64)


def block_by_others(fitted: LandmarkMap, X: np.ndarray) -> np.ndarray:
    """The (b, m) block by SciPy and scikit-learn: squared dissimilarities, or kernel values."""
    block, X, Z = fitted.block, np.asarray(X, float), np.asarray(fitted.landmarks, float)
    if isinstance(block, Metric):
        distances = cdist(X, Z, block.name)
        squared = {"sqeuclidean": 1, "cosine": 2, "correlation": 2}  # these are squares already, or half of one
        return squared[block.name] * distances if block.name in squared else distances**2
    if block.name == "matern":
        return Matern(1 / block.gamma, nu=block.nu)(X, Z)
    every = {"gamma": block.gamma, "degree": block.degree, "coef0": block.coef0}
    return pairwise_kernels(X, Z, block.name, filter_params=True, **every)


def by_block(fitted: LandmarkMap, X: np.ndarray) -> np.ndarray:
    """The definition: block times readout plus offset, with nothing folded, tiled or fused."""
    return block_by_others(fitted, X) @ fitted.readout + fitted.offset


@pytest.mark.parametrize("metric", ["euclidean", "sqeuclidean", "cosine", "correlation", "cityblock", "braycurtis"])
def test_lmds_maps_equal_their_definition(metric, rng):
    Z, X = rng.random((40, 6)), rng.random((TILE_ROWS + 77, 6))
    fitted = LandmarkMDSMethod(3, metric).start(Z, F64).map
    assert fitted.collapsed == (metric not in ("cityblock", "braycurtis"))
    np.testing.assert_allclose(fitted(X), by_block(fitted, X), rtol=1e-9, atol=1e-12)
    means = block_by_others(fitted, X).mean(axis=1), block_by_others(fitted, Z).mean()
    residual = means[0] - 0.5 * means[1] - (fitted(X) ** 2).sum(axis=1)
    np.testing.assert_allclose(fitted.place(X).residual, residual, atol=1e-12)


@pytest.mark.parametrize("kernel", ["rbf", "laplacian", "polynomial", "linear", "sigmoid", "cosine", "chi2", "matern"])
def test_nystroem_maps_equal_their_definition(kernel, rng):
    Z, X = rng.random((25, 6)), rng.random((TILE_ROWS + 3, 6))
    fitted = nystrom_features(KernelChoice(kernel, gamma=0.8), Z, F64, 4).map
    assert fitted.collapsed == (kernel in ("linear", "cosine"))
    np.testing.assert_allclose(fitted(X), by_block(fitted, X), rtol=1e-8, atol=1e-11)


def test_fused_rbf_stays_accurate_where_float32_exponents_would_not(rng):
    """A bandwidth far below the spread of the data moves the block to float64."""
    Z = (rng.normal(size=(60, 5)) * 100).astype(np.float32)
    X = Z[:30] + rng.normal(size=(30, 5)).astype(np.float32) * np.float32(0.05)
    fitted = nystrom_features(KernelChoice("rbf", gamma=1.0), Z, np.dtype(np.float32), 60).map
    exact = by_block(fitted, X)
    np.testing.assert_allclose(fitted(X), exact, atol=1e-4)


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", "u1", "i2", "i4", ">f4", "?"])
def test_every_numeric_dtype_is_placed(dtype, rng):
    X = (rng.random((30, 4)) * 3).astype(int).astype(dtype)
    fitted = LandmarkMDSMethod(2).start(X.astype(float)[:20], F64).map
    out = fitted(np.ascontiguousarray(X, X.dtype.newbyteorder("=")))
    assert out.dtype == compute_dtype(X.dtype)
    np.testing.assert_allclose(out, by_block(fitted, X.astype(float)), atol=2e-6)


@pytest.mark.parametrize(
    "fitted",
    [
        LandmarkMDSMethod(2).start(np.random.default_rng(0).random((9, 4)), F64).map,
        LandmarkMDSMethod(2, "jaccard").start(np.random.default_rng(0).integers(0, 2, (9, 4)).astype(float), F64).map,
        nystrom_features(KernelChoice("rbf"), np.random.default_rng(0).random((9, 4)), F64, 2).map,
        nystrom_features(KernelChoice("matern"), np.random.default_rng(0).random((9, 4)), F64, 2).map,
    ],
    ids=["euclidean", "jaccard", "rbf", "matern"],
)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_bad_rows_get_nan_and_only_they(fitted, value):
    X = np.random.default_rng(1).integers(0, 2, (600, 4)).astype(float)
    bad = [0, 5, 599]
    X[bad, 2] = value
    placed = fitted.place(X)
    assert np.flatnonzero(np.isnan(placed.embedding).all(axis=1)).tolist() == bad
    assert np.flatnonzero(np.isnan(placed.residual)).tolist() == bad


def test_rows_without_direction_are_nan_under_cosine(rng):
    X = rng.random((10, 3))
    X[4] = 0
    fitted = LandmarkMDSMethod(2, "cosine").start(rng.random((8, 3)), F64).map
    assert np.flatnonzero(np.isnan(fitted.place(X).residual)).tolist() == [4]


def test_results_do_not_depend_on_how_rows_are_grouped(rng):
    X = rng.random((2000, 5)).astype(np.float32)
    fitted = nystrom_features(KernelChoice("rbf"), X[:100], np.dtype(np.float32), 5).map
    whole = fitted(X)
    parts = np.concatenate([fitted(part) for part in np.split(X, [1, 17, 700, 1300])])
    np.testing.assert_allclose(parts, whole, atol=2e-5)


def test_state_round_trips_without_pickle(rng):
    Z, X = rng.random((30, 4)), rng.random((50, 4))
    for method in (LandmarkMDSMethod(2, "minkowski", {"p": 3}), LandmarkMDSMethod(2, "mahalanobis"), NystroemMethod(3)):
        fitted = method.start(Z, F64).map
        arrays, meta = fitted.to_state()
        assert all(array.dtype.kind == "f" for array in arrays.values())
        np.testing.assert_array_equal(LandmarkMap.from_state(arrays, meta)(X), fitted(X))


def test_maps_over_code_are_not_stored(rng):
    fitted = LandmarkMDSMethod(1, lambda a, b: float(abs(a - b).sum())).start(rng.random((6, 2)), F64).map
    with pytest.raises(InputError, match="code is not data"):
        fitted.to_state()


def test_rotation_keeps_distances_and_residuals(rng):
    Z, X = rng.random((30, 4)), rng.random((50, 4))
    fitted = LandmarkMDSMethod(3, "cityblock").start(Z, F64).map
    rotation, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    shift = rng.normal(size=3)
    turned = fitted.rotated(rotation, shift)
    np.testing.assert_allclose(turned(X), (fitted(X) - shift) @ rotation, atol=1e-12)
    np.testing.assert_allclose(turned.place(X).residual, fitted.place(X).residual, atol=1e-12)


def test_pickles_without_its_prepared_factors(rng):
    fitted = nystrom_features(KernelChoice(), rng.random((30, 4)), F64, 3).map
    size = len(pickle.dumps(fitted))
    fitted(rng.random((5, 4)))
    assert len(pickle.dumps(fitted)) == size


def test_wrong_width_is_refused():
    fitted = LandmarkMap(np.eye(3), Metric("euclidean"), np.ones((3, 1)), np.zeros(1), np.zeros(3))
    with pytest.raises(InputError, match=r"shape \(2, 4\) do not fit this map: expected \(b, 3\)"):
        fitted(np.ones((2, 4)))


def test_rows_under_kernels_are_checked_too():
    fitted = LandmarkMap(np.eye(3), Kernel("rbf", 1.0), np.ones((3, 1)), np.zeros(1), np.zeros(3), self_term=True)
    with pytest.raises(InputError, match=r"shape \(2, 4\) do not fit this map: expected \(b, 3\)"):
        fitted(np.ones((2, 4)))
    bad = np.vstack([np.eye(3), [[0, np.nan, 0]]])
    np.testing.assert_allclose(fitted(bad)[:3], 1 + 2 * np.exp(-2))
    assert np.isnan(fitted(bad)[3]).all()

"""What all estimators promise: scikit-learn's contract, and the same answer for every kind of array."""

import doctest
import importlib
import pickle

import dask.array as da
import numpy as np
import pytest
import zarr
from sklearn.base import clone
from sklearn.utils.estimator_checks import parametrize_with_checks

from landmark_ops import (
    LandmarkDiffusionMap,
    LandmarkIsomap,
    LandmarkMDS,
    LocallyLinearLandmarks,
    Nystroem,
    NystroemKernelPCA,
    SpectralClustering,
    SpectralEmbedding,
)
from tests.rows import ChunkedRows

ESTIMATORS = [
    LandmarkMDS(1),
    Nystroem(),
    NystroemKernelPCA(1),
    SpectralEmbedding(1),
    SpectralClustering(2),
    LandmarkDiffusionMap(1),
    LandmarkIsomap(1, n_neighbors=5, components="join"),
    LocallyLinearLandmarks(1, n_neighbors=5),
]


@pytest.mark.filterwarnings("ignore:n_landmarks=500 exceeds")
@pytest.mark.filterwarnings("ignore:.*landmarks repeat")
@pytest.mark.filterwarnings("ignore:the graph of neighbours falls apart")
@parametrize_with_checks(ESTIMATORS)
def test_sklearn_contract(estimator, check):
    check(estimator)


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda e: type(e).__name__)
def test_the_kind_of_array_changes_nothing(estimator, rng, tmp_path):
    X = rng.normal(size=(700, 5))
    stored = zarr.create_array(str(tmp_path / "x.zarr"), data=X, chunks=(128, 2))
    estimator = clone(estimator).set_params(n_landmarks=40, random_state=0)
    expected = clone(estimator).fit_transform(X)
    for lazy in (da.from_array(X, chunks=(100, 3)), stored, ChunkedRows(X, 33)):
        fitted = clone(estimator).fit(lazy)
        out = fitted.transform(lazy)
        assert isinstance(out, da.Array)
        assert out.shape == expected.shape
        assert out.dtype == expected.dtype
        np.testing.assert_allclose(out.compute(scheduler="sync"), expected, atol=1e-9)
        np.testing.assert_allclose(fitted.transform(X[:7]), expected[:7], atol=1e-9)


def test_transform_of_a_dask_array_computes_nothing(rng):
    def refuse(dsk, keys, **kwargs):
        raise AssertionError("computed while building")

    X = rng.normal(size=(300, 4))
    fitted = LandmarkMDS(2, n_landmarks=30, random_state=0).fit(X)
    lazy = da.from_array(X, chunks=(50, 4))
    with __import__("dask").config.set(scheduler=refuse):
        out = fitted.transform(lazy)
    assert out.chunks == ((50,) * 6, (2,))


def test_arrays_of_pictures_are_flattened(rng):
    pictures = rng.random((60, 4, 4, 3))
    lazy = da.from_array(pictures, chunks=(20, 4, 4, 3))
    fitted = LandmarkMDS(2, n_landmarks=30, random_state=0).fit(lazy)
    flat = fitted.transform(pictures.reshape(60, 48))
    np.testing.assert_allclose(fitted.transform(lazy).compute(scheduler="sync"), flat, atol=1e-10)


def test_too_many_landmarks_means_the_exact_method_and_says_so(rng):
    with pytest.warns(UserWarning, match="n_landmarks=500 exceeds the 30 rows"):
        fitted = LandmarkMDS(2).fit(rng.normal(size=(30, 4)))
    assert fitted.landmark_indices_.tolist() == list(range(30))


@pytest.mark.parametrize("strategy", ["uniform", "maxmin", "kmeans"])
def test_every_strategy_by_name(strategy, rng):
    X = rng.normal(size=(400, 4))
    fitted = LandmarkMDS(2, n_landmarks=25, selection=strategy, random_state=0).fit(X)
    assert fitted.landmarks_.shape == (25, 4)


def test_own_landmarks_as_rows_or_points(rng):
    X = rng.normal(size=(100, 4))
    by_index = LandmarkMDS(2, selection=np.arange(10, 40)).fit(X)
    by_point = LandmarkMDS(2, selection=X[10:40]).fit(X)
    np.testing.assert_allclose(by_index.transform(X), by_point.transform(X), atol=1e-12)
    assert (by_point.landmark_indices_ == -1).all()


def test_fitted_estimators_pickle(rng):
    X = rng.normal(size=(100, 4))
    fitted = NystroemKernelPCA(2, n_landmarks=30, random_state=0).fit(X)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(fitted)).transform(X), fitted.transform(X))


@pytest.mark.parametrize(
    "name",
    [
        "landmark_mds",
        "nystroem",
        "nystroem_kernel_pca",
        "spectral_embedding",
        "spectral_clustering",
        "landmark_diffusion_map",
        "landmark_isomap",
        "locally_linear_landmarks",
        "sparse_gp",
        "nystroem_ridge",
    ],
)
def test_examples_in_docstrings(name):
    result = doctest.testmod(importlib.import_module(f"landmark_ops.estimators.{name}"))
    assert result.attempted > 0
    assert result.failed == 0

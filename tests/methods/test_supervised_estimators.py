"""What the estimators that learn from a target promise: scikit-learn's contract, and all kinds of arrays."""

from __future__ import annotations

import doctest
import importlib
import pickle

import dask
import dask.array as da
import numpy as np
import pytest
import zarr
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.utils.estimator_checks import parametrize_with_checks
from threadpoolctl import threadpool_limits

from landmark_ops.errors import InputError
from landmark_ops.estimators.nystroem_ridge import NystroemRidge, NystroemRidgeClassifier
from landmark_ops.estimators.sparse_gp import SparseGPRegressor
from tests.rows import ChunkedRows

GIVEN = {"gamma": 0.3, "noise": 0.1, "signal": 1.0}
REGRESSORS = [SparseGPRegressor(**GIVEN), SparseGPRegressor(approximation="fitc", kernel="matern"), NystroemRidge()]


@pytest.fixture(autouse=True)
def _one_thread():
    """Matrices this small: BLAS threads that wait for each other would take most of the time."""
    with threadpool_limits(1, user_api="blas"):
        yield


def data(n=300):
    random = np.random.default_rng(0)
    X = random.normal(size=(n, 3))
    return X, 7 + np.sin(X[:, 0]) * X[:, 1] + 0.1 * random.normal(size=n)


@pytest.mark.filterwarnings("ignore:n_landmarks=.* exceeds")
@pytest.mark.filterwarnings("ignore:.*landmarks repeat")
@pytest.mark.filterwarnings("ignore:.*is at the end of the range searched")
@parametrize_with_checks(
    [SparseGPRegressor(n_landmarks=15), SparseGPRegressor(**GIVEN), NystroemRidge(), NystroemRidgeClassifier()]
)
def test_sklearn_contract(estimator, check):
    check(estimator)


@pytest.mark.parametrize("estimator", REGRESSORS, ids=["vfe", "fitc", "ridge"])
def test_the_kind_of_array_changes_nothing(estimator, tmp_path):
    X, y = data()
    stored = [
        zarr.create_array(str(tmp_path / f"{name}.zarr"), data=values, chunks=(64, 2)[: values.ndim])
        for name, values in (("x", X), ("y", y))
    ]
    estimator = clone(estimator).set_params(n_landmarks=30, random_state=0)
    expected = clone(estimator).fit(X, y)
    lazies = [
        (da.from_array(X, chunks=(100, 3)), da.from_array(y, chunks=70)),
        tuple(stored),
        (ChunkedRows(X, 33), ChunkedRows(y[:, None], 41)),
        (da.from_array(X, chunks=(100, 3)), y),
        (X, stored[1]),
    ]
    for lazy_X, lazy_y in lazies:
        fitted = clone(estimator).fit(lazy_X, lazy_y)
        found = fitted.predict(lazy_X)
        assert isinstance(found, np.ndarray if lazy_X is X else da.Array)
        assert (found.shape, found.dtype) == ((300,), np.float64)
        np.testing.assert_allclose(np.asarray(found), expected.predict(X), rtol=1e-8)
        np.testing.assert_allclose(fitted.predict(X[:7]), expected.predict(X[:7]), rtol=1e-8)
        assert fitted.score(lazy_X, y) == pytest.approx(expected.score(X, y))


def test_errors_come_lazily_too_and_cost_one_pass():
    X, y = data()
    fitted = SparseGPRegressor(n_landmarks=30, random_state=0, **GIVEN).fit(X, y)
    read = []

    def block(part):
        read.append(len(part))
        return part

    lazy = da.from_array(X, chunks=(100, 3)).map_blocks(block, meta=np.empty((0, 3)))
    with dask.config.set(scheduler="sync"):
        mean, std = fitted.predict(lazy, return_std=True)
        assert read == []
        mean, std = dask.compute(mean, std)
    assert read == [100, 100, 100]
    for found, expected in zip((mean, std), fitted.predict(X, return_std=True), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-10)
    np.testing.assert_allclose(fitted.predict(X), mean, rtol=1e-10)  # without the variance computed


def test_pictures_are_rows():
    random = np.random.default_rng(0)
    pictures = da.from_array(random.random((60, 4, 4, 3)), chunks=(20, 4, 4, 3))
    y = random.random(60)
    fitted = NystroemRidge(n_landmarks=20, random_state=0).fit(pictures, y)
    flat = fitted.predict(pictures.compute().reshape(60, 48))
    np.testing.assert_allclose(fitted.predict(pictures).compute(), flat, rtol=1e-8)


def test_what_was_found_is_told():
    X, y = data()
    model = SparseGPRegressor(n_landmarks=60, random_state=0).fit(X, y)
    assert model.noise_ == pytest.approx(0.01, rel=0.5)
    assert min(model.signal_, model.gamma_) > 0
    assert np.isfinite(model.log_evidence_)
    exact = SparseGPRegressor(
        approximation="dtc",
        n_landmarks=60,
        gamma=model.gamma_,
        noise=model.noise_,
        signal=model.signal_,
        random_state=0,
    ).fit(X, y)
    assert exact.log_evidence_ >= model.log_evidence_
    assert SparseGPRegressor(kernel="linear", n_landmarks=5, noise=1.0, signal=1.0).fit(X, y).gamma_ is None


@pytest.mark.parametrize("labels", [["cat", "dog", "eel"], [2.0, 7.0, 9.0], [-1, 0, 1], [True, False]])
def test_labels_of_any_type(labels):
    X, y = data()
    labels = np.array(labels)
    y = labels[np.digitize(y, np.quantile(y, np.arange(1, len(labels)) / len(labels)))]
    model = NystroemRidgeClassifier(n_landmarks=60, alpha=0.01, random_state=0).fit(X, y)
    assert model.classes_.tolist() == sorted(set(labels.tolist()))
    found = model.predict(X)
    assert found.dtype == labels.dtype
    assert (found == y).mean() > 0.8
    lazy = model.predict(da.from_array(X, chunks=(77, 2)))
    assert lazy.dtype == labels.dtype
    np.testing.assert_array_equal(lazy.compute(), found)
    scores = model.decision_function(X)
    assert scores.shape == ((300,) if len(labels) == 2 else (300, 3))
    lazy = model.decision_function(da.from_array(X, chunks=(77, 2)))
    np.testing.assert_allclose(lazy.compute(), scores, atol=1e-10)


def test_a_lazy_target_has_integer_classes():
    X, y = data()
    y = np.digitize(y, [6.5, 7.5]) * 100
    one = NystroemRidgeClassifier(n_landmarks=30, random_state=0).fit(X, y)
    other = NystroemRidgeClassifier(n_landmarks=30, random_state=0).fit(X, da.from_array(y, chunks=64))
    assert other.classes_.tolist() == [0, 100, 200]
    np.testing.assert_array_equal(one.predict(X), other.predict(X))
    relearned = one.fit(X, da.from_array(y + 1, chunks=64))
    assert relearned.classes_.tolist() == [1, 101, 201]


def test_a_lazy_target_may_have_gaps_and_one_in_memory_may_not():
    X, y = data()
    y[:40] = np.nan
    with pytest.warns(UserWarning, match="target: 40 of 300 rows hold NaN or Inf there and were not learned from"):
        model = NystroemRidge(n_landmarks=30, random_state=0).fit(X, da.from_array(y, chunks=64))
    assert np.isfinite(model.predict(X)).all()
    with pytest.raises(ValueError, match="Input y contains NaN"):
        NystroemRidge().fit(X, y)
    with pytest.raises(ValueError, match="Input y contains NaN"):
        NystroemRidge().fit(da.from_array(X, chunks=(64, 3)), y)


def test_they_search_grids_and_pickle():
    X, y = data()
    search = GridSearchCV(NystroemRidge(n_landmarks=40, random_state=0), {"alpha": [1e-3, 1e3]}, cv=3).fit(X, y)
    assert search.best_params_ == {"alpha": 1e-3}
    best = search.best_estimator_
    assert best.gcv_rmse_ < 0.3
    assert 10 < best.effective_dof_ <= 41
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(best)).predict(X), best.predict(X))


@pytest.mark.parametrize("selection", ["maxmin", "kmeans", "rpcholesky"])
def test_every_way_of_selecting(selection):
    X, y = data()
    model = SparseGPRegressor(n_landmarks=30, selection=selection, random_state=0).fit(X, y)
    assert model.score(X, y) > 0.5


@pytest.mark.parametrize(
    ("fit", "message"),
    [
        (lambda X, y: NystroemRidge().fit(da.from_array(X), None), "requires y to be passed, but the target y is None"),
        (lambda X, y: NystroemRidge().fit(da.from_array(X), y[:20]), "20 values for 300 rows"),
        (lambda X, y: NystroemRidge().fit(X, da.from_array(np.stack([y, y], 1))), "2 values per row, one is needed"),
        (lambda X, y: NystroemRidge(alpha=-1).fit(X, y), "alpha=-1: must be positive"),
        (lambda X, y: SparseGPRegressor(noise=0).fit(X, y), "noise=0: is a variance"),
        (lambda X, y: NystroemRidgeClassifier().fit(X, np.full(300, "cat")), "y holds 1 class, .*'cat'.*, at least 2"),
        (
            lambda X, y: NystroemRidge(n_landmarks=9).fit(X, y).predict(da.from_array(X[:, :2])),
            "X has 2 features, but NystroemRidge is expecting 3 features as input",
        ),
    ],
)
@pytest.mark.filterwarnings("ignore:n_landmarks=.* exceeds")
def test_bad_input_is_refused(fit, message):
    with pytest.raises(InputError, match=message):
        fit(*data())


@pytest.mark.parametrize("name", ["sparse_gp", "nystroem_ridge"])
def test_examples_in_docstrings(name):
    result = doctest.testmod(importlib.import_module(f"landmark_ops.estimators.{name}"))
    assert result.attempted > 0
    assert result.failed == 0

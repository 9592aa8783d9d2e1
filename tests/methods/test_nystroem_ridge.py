"""Nystrom ridge against scikit-learn's exact ridges, and itself in other chunks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import Ridge, RidgeClassifier
from sklearn.metrics.pairwise import rbf_kernel
from sklearn.preprocessing import KernelCenterer
from threadpoolctl import threadpool_limits

from landmark_ops.engine.threads import LocalEngine
from landmark_ops.errors import InputError
from landmark_ops.maps.landmark_map import LandmarkMap
from landmark_ops.methods.nystroem_ridge import NystroemRidgeMethod
from landmark_ops.numerics.kernel import KernelChoice
from landmark_ops.passes.ranges import ranges
from landmark_ops.passes.targets import Targets
from landmark_ops.solver.asks import Source, solve_one
from landmark_ops.solver.features import nystrom_features
from landmark_ops.stores.sources.rows import ArrayRows
from tests.rows import ChunkedRows

GAMMA = 0.4
CHOICE = KernelChoice("rbf", GAMMA)
F64 = np.dtype(np.float64)
REGRESS = NystroemRidgeMethod(CHOICE, 0.1)
CLASSIFY = NystroemRidgeMethod(CHOICE, 0.1, "classification")


@pytest.fixture(autouse=True)
def _one_thread():
    """Matrices this small: BLAS threads that wait for each other would take most of the time."""
    with threadpool_limits(1, user_api="blas"):
        yield


def data(n=150, classes=0):
    random = np.random.default_rng(0)
    X = random.normal(size=(n, 3))
    y = 7 + np.sin(X[:, 0]) * X[:, 1] + 0.2 * random.normal(size=n)
    return X, np.digitize(y, np.quantile(y, np.arange(1, classes) / classes)) * 10 - 10 if classes else y


def solve(method, X, y, Z, *, step=50, workers=1, chunk=None, held_out=0.0):
    targets = Targets(ArrayRows(np.asarray(y, np.float64)[:, None]), held_out, 3)
    rows = ArrayRows(X) if chunk is None else ChunkedRows(X, chunk)
    return solve_one(method.solve(Z, F64), Source(rows, LocalEngine(workers), ranges(len(X), step), 3, targets))


def predict(solution, X):
    return solution.map.outputs(solution.map.place(X))["prediction"]


def features(Z, X):
    return nystrom_features(KernelChoice("rbf", GAMMA), Z, F64).map(X)


@pytest.mark.parametrize("kernel", ["rbf", "laplacian", "polynomial", "linear"])
def test_with_every_row_a_landmark_it_is_kernel_ridge_with_the_same_alpha(kernel, rng):
    X, y = data(80)
    parameters = {} if kernel == "linear" else {"gamma": GAMMA}
    exact = KernelRidge(alpha=0.3, kernel=kernel, coef0=1, degree=3, **parameters).fit(X, y)
    method = NystroemRidgeMethod(KernelChoice(kernel, GAMMA), 0.3, intercept=False)
    new = rng.normal(size=(30, 3))
    np.testing.assert_allclose(predict(solve(method, X, y, X), new), exact.predict(new), rtol=1e-6)


def test_with_an_intercept_it_is_kernel_ridge_with_the_centred_kernel(rng):
    X, y = data(80)
    new = rng.normal(size=(30, 3))
    K = rbf_kernel(X, gamma=GAMMA)
    centerer = KernelCenterer().fit(K)
    exact = KernelRidge(alpha=0.1, kernel="precomputed").fit(centerer.transform(K), y - y.mean())
    expected = y.mean() + exact.predict(centerer.transform(rbf_kernel(new, X, gamma=GAMMA)))
    np.testing.assert_allclose(predict(solve(REGRESS, X, y, X), new), expected, rtol=1e-6)


@pytest.mark.parametrize("intercept", [True, False])
def test_with_few_landmarks_it_is_ridge_on_the_features(intercept, rng):
    X, y = data()
    Z, new = X[:20], rng.normal(size=(30, 3))
    F = features(Z, X)
    exact = Ridge(0.1, fit_intercept=intercept, tol=1e-12).fit(F, y)
    found = solve(replace(REGRESS, intercept=intercept), X, y, Z)
    np.testing.assert_allclose(predict(found, new), exact.predict(features(Z, new)), rtol=1e-8)
    np.testing.assert_allclose(found.map(Z), found.embedding, atol=1e-8)
    assert found.eigenvalues == pytest.approx([found.map(X).var() if intercept else (found.map(X) ** 2).mean()])
    # facts by their definitions: the hat matrix is that of F, with a column of ones that is not penalised
    design = np.column_stack([F, np.ones(150)]) if intercept else F
    penalty = 0.1 * np.diag([1.0] * F.shape[1] + [0.0] * intercept)
    hat = design @ np.linalg.solve(design.T @ design + penalty, design.T)
    error = y - exact.predict(F)
    freedom = np.trace(hat)
    assert found.facts["effective degrees of freedom"] == pytest.approx(freedom, rel=1e-8)
    assert found.facts["training RMSE"] == pytest.approx(np.sqrt((error**2).mean()), rel=1e-8)
    gcv = np.sqrt((error**2).mean()) / (1 - freedom / 150)
    assert found.facts["RMSE by generalised cross-validation"] == pytest.approx(gcv, rel=1e-8)


def test_an_intercept_makes_offsets_of_rows_and_target_harmless():
    X, _ = data()
    method = NystroemRidgeMethod(KernelChoice("linear"), 1e-6)
    y = 1e7 + (X + 50) @ [1.0, 2.0, 3.0]
    found = solve(method, X + 50, y, X[:20] + 50)
    np.testing.assert_allclose(predict(found, X + 50) - 1e7, y - 1e7, rtol=1e-5)
    assert found.map.collapsed


@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize("classes", [2, 4])
def test_classification_is_ridge_classification_on_the_features(classes, intercept, rng):
    X, y = data(classes=classes)
    Z, new = X[:20], rng.normal(size=(60, 3))
    exact = RidgeClassifier(0.1, fit_intercept=intercept, tol=1e-12).fit(features(Z, X), y)
    found = solve(replace(CLASSIFY, intercept=intercept), X, y, Z)
    np.testing.assert_array_equal(predict(found, new), exact.predict(features(Z, new)))
    scores = exact.decision_function(features(Z, new))
    scores = np.column_stack([-scores, scores]) if classes == 2 else scores
    np.testing.assert_allclose(found.map(new), scores, atol=1e-8)
    assert found.map.head.classes.tolist() == sorted(set(y.tolist()))
    assert found.facts["classes"] == classes
    np.testing.assert_allclose(found.map(Z), found.embedding, atol=1e-8)


@given(step=st.integers(1, 160), workers=st.sampled_from([1, 3]), chunk=st.integers(1, 160))
@settings(max_examples=15, deadline=None)
def test_chunks_and_workers_change_nothing(step, workers, chunk):
    for method, (X, y) in ((REGRESS, data()), (CLASSIFY, data(classes=4))):
        one = solve(method, X, y, X[:20])
        other = solve(method, X, y, X[:20], step=step, workers=workers, chunk=chunk)
        np.testing.assert_allclose(other.map(X), one.map(X), rtol=1e-8, atol=1e-10)
        for name, value in one.facts.items():
            assert other.facts[name] == pytest.approx(value, rel=1e-9)


@pytest.mark.parametrize(("method", "classes"), [(REGRESS, 0), (CLASSIFY, 3)])
def test_held_out_rows_and_rows_without_target_are_not_learned_from(method, classes):
    X, y = data(classes=classes)
    one = solve(method, X, y, X[:20], held_out=0.3)
    trains = Targets(ArrayRows(np.asarray(y, float)[:, None]), 0.3, 3).trains(0, len(y))
    spoiled = np.where(trains, y, 0.5)  # no class, were anyone to look
    other = solve(method, X, spoiled, X[:20], held_out=0.3)
    np.testing.assert_array_equal(one.map(X), other.map(X))
    assert one.facts == other.facts
    lacking = np.where(trains, y, np.nan)
    expected = solve(method, X[trains], y[trains], X[:20])
    np.testing.assert_allclose(solve(method, X, lacking, X[:20]).map(X), expected.map(X), atol=1e-9)


def test_the_map_survives_storage(rng):
    new = rng.normal(size=(20, 3)).astype(np.float32)
    for method, classes in ((REGRESS, 0), (CLASSIFY, 4)):
        X, y = data(classes=classes)
        found = solve(method, X, y, X[:20])
        stored = found._replace(map=LandmarkMap.from_state(*found.map.to_state()))
        np.testing.assert_array_equal(predict(stored, new), predict(found, new))


def test_a_block_of_kernel_values_will_do():
    X, y = data()
    C = rbf_kernel(X, X[:20], gamma=GAMMA)
    found = solve(NystroemRidgeMethod(KernelChoice("precomputed"), 0.1), C, y, C[:20])
    np.testing.assert_allclose(predict(found, C), predict(solve(REGRESS, X, y, X[:20]), X), rtol=1e-8)


def test_one_row_per_class():
    X, _ = data(6)
    found = solve(NystroemRidgeMethod(KernelChoice("rbf", 1.0), 1e-6, "classification"), X, np.arange(6) * 3, X)
    assert predict(found, X).tolist() == [0, 3, 6, 9, 12, 15]


def test_a_constant_target_is_predicted():
    X, _ = data()
    found = solve(REGRESS, X, np.full(150, -3.5), X[:20])
    np.testing.assert_array_equal(predict(found, X), -3.5)
    assert found.facts["training RMSE"] == 0


def test_repeated_landmarks_change_nothing_but_a_warning():
    X, y = data()
    twice = solve(REGRESS, X, y, np.vstack([X[:20], X[:20]]))
    assert any("landmarks repeat" in message for message in twice.warnings)
    np.testing.assert_allclose(predict(twice, X), predict(solve(REGRESS, X, y, X[:20]), X), rtol=1e-8)


def test_rows_in_single_precision_are_computed_in_double(rng):
    """With a small alpha the readout's entries are large and cancel."""
    X, y = data()
    method = NystroemRidgeMethod(CHOICE, 1e-8)
    single = X.astype(np.float32)
    found = solve(method, single, y, single[:60])
    expected = solve(method, single.astype(np.float64), y, single[:60].astype(np.float64))
    assert np.abs(found.map.readout).sum() > 1e3
    np.testing.assert_allclose(predict(found, single), predict(expected, single.astype(np.float64)), rtol=1e-5)


@pytest.mark.parametrize(
    ("method", "y", "message"),
    [
        (replace(REGRESS, alpha=0.0), np.arange(150), r"alpha=0.0: must be positive and finite"),
        (replace(REGRESS, task="ranking"), np.arange(150), r"task='ranking' is unknown: choose regression or"),
        (CLASSIFY, np.arange(150) / 2, r"target: 0.5 is not a class, classes are integers .*task: regression"),
        (CLASSIFY, np.full(150, 1e300), r"target: 1e\+300 is not a class"),
        (CLASSIFY, np.full(150, 4), r"target: all 150 rows are of class 4, at least 2 classes are needed"),
        (CLASSIFY, np.full(150, np.nan), r"no row has both coordinates and a finite target"),
        (REGRESS, np.full(150, np.nan), r"no row has both coordinates and a finite target"),
    ],
)
def test_what_cannot_be_learned_is_refused(method, y, message):
    X, _ = data()
    with pytest.raises(InputError, match=message):
        solve(method, X, y, X[:20])


@pytest.mark.parametrize("step", [1100, 90])  # too many in one tile, and only in all of them together
def test_too_many_classes_are_refused(step, rng):
    X = rng.normal(size=(1100, 2))
    with pytest.raises(InputError, match=r"more than 1,000 different values, too many for classes"):
        solve(CLASSIFY, X, np.arange(1100), X[:5], step=step)
    found = solve(CLASSIFY, X[:1000], np.arange(1000), X[:5], step=step)
    assert found.map.n_components == 1000

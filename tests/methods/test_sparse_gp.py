"""Sparse Gaussian processes against dense float64 formulas, the exact process, and themselves in other chunks."""

from __future__ import annotations

import warnings
from contextlib import nullcontext
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import approx_fprime
from scipy.stats import multivariate_normal
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, Matern
from threadpoolctl import threadpool_limits

from landmark_ops.engine.threads import LocalEngine
from landmark_ops.errors import InputError
from landmark_ops.maps.landmark_map import LandmarkMap
from landmark_ops.methods.sparse_gp import APPROXIMATIONS, SparseGPMethod
from landmark_ops.numerics.kernel import Kernel, KernelChoice, kernel_block, resolve_kernel
from landmark_ops.numerics.vfe_bound import NOISE_RANGE, bound_of, maximise
from landmark_ops.passes.ranges import ranges
from landmark_ops.passes.targets import Targets
from landmark_ops.solver.asks import Source, solve_all, solve_one
from landmark_ops.stores.sources.rows import ArrayRows
from tests.rows import ChunkedRows

GAMMA, NOISE, SIGNAL = 0.4, 0.05, 2.5
CHOICE = KernelChoice("rbf", GAMMA)
F64 = np.dtype(np.float64)


@pytest.fixture(autouse=True)
def _one_thread():
    """Matrices this small: BLAS threads that wait for each other would take most of the time."""
    with threadpool_limits(1, user_api="blas"):
        yield


def data(n=150, d=3, seed=0):
    random = np.random.default_rng(seed)
    X = random.normal(size=(n, d))
    return X, 7 + np.sin(X[:, 0]) * X[:, 1] + 0.2 * random.normal(size=n)


def solve(method, X, y, Z, *, step=50, workers=1, chunk=None, held_out=0.0, seed=3):
    targets = Targets(ArrayRows(np.asarray(y, np.float64)[:, None]), held_out, seed)
    rows = ArrayRows(X) if chunk is None else ChunkedRows(X, chunk)
    source = Source(rows, LocalEngine(workers), ranges(len(X), step), seed, targets)
    return solve_one(method.solve(Z, F64), source)


def predict(solution, X):
    out = solution.map.outputs(solution.map.place(X))
    return out["prediction"], out["std"]


def evidence(solution):
    return solution.facts.get("log evidence", solution.facts.get("VFE bound"))


class Dense:
    """The four models by their textbook matrices, n x n, nothing whitened, summed or shared."""

    def __init__(self, approximation, X, y, Z, kernel, noise=NOISE, signal=SIGNAL):
        def k(A, B):
            return signal * kernel_block(A, B, kernel)

        K, Kuu, Kuf = k(X, X), k(Z, Z), k(Z, X)
        Q = Kuf.T @ np.linalg.solve(Kuu, Kuf)
        diagonal = np.diag(np.diag(K - Q)) if approximation == "fitc" else 0
        self.cov = Q + diagonal + noise * np.eye(len(X))
        centred = y - y.mean()
        self.evidence = multivariate_normal(np.zeros(len(X)), self.cov).logpdf(centred)
        if approximation == "vfe":
            self.evidence -= np.trace(K - Q) / (2 * noise)
        self.parts = (approximation, y.mean(), noise, centred, k, Z, Kuu, Kuf)

    def predict(self, X):
        approximation, mean, noise, centred, k, Z, Kuu, Kuf = self.parts
        from_rows = k(X, Z) @ np.linalg.solve(Kuu, Kuf)  # Q(X, rows), (b, n)
        own = k(X, Z) @ np.linalg.solve(Kuu, k(Z, X)) if approximation == "sor" else k(X, X)
        posterior = own - from_rows @ np.linalg.solve(self.cov, from_rows.T)
        return mean + from_rows @ np.linalg.solve(self.cov, centred), np.sqrt(np.diag(posterior) + noise)


@pytest.mark.parametrize("approximation", APPROXIMATIONS)
@pytest.mark.parametrize("kernel", ["rbf", "matern", "laplacian", "polynomial", "linear"])
def test_mean_error_and_evidence_are_those_of_the_dense_formulas(approximation, kernel, rng):
    X, y = data()
    m = {"linear": 3, "polynomial": 12}.get(kernel, 25)  # K_uu of the formulas must have an inverse
    Z = X[:m]
    resolved = resolve_kernel(kernel, Z, gamma=GAMMA)
    expected = Dense(approximation, X, y, Z, resolved)
    found = solve(SparseGPMethod(KernelChoice(kernel, GAMMA), approximation, NOISE, SIGNAL), X, y, Z)
    new = rng.normal(size=(40, 3)) * 2
    for ours, theirs in zip(predict(found, new), expected.predict(new), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-6)
    assert evidence(found) == pytest.approx(expected.evidence, rel=1e-7)
    assert ("VFE bound" in found.facts) == (approximation == "vfe")
    assert found.map.double


@pytest.mark.parametrize("approximation", APPROXIMATIONS)
@pytest.mark.parametrize("nu", [None, 1.5])
def test_with_every_row_a_landmark_it_is_the_exact_process(approximation, nu, rng):
    X, y = data(80)
    length = 1 / np.sqrt(2 * GAMMA) if nu is None else 1 / GAMMA
    exact = GaussianProcessRegressor(
        ConstantKernel(SIGNAL) * (RBF(length) if nu is None else Matern(length, nu=nu)), alpha=NOISE, optimizer=None
    ).fit(X, y - y.mean())
    choice = CHOICE if nu is None else KernelChoice("matern", GAMMA, nu=nu)
    found = solve(SparseGPMethod(choice, approximation, NOISE, SIGNAL), X, y, X)
    new = X if approximation == "sor" else np.vstack([X, rng.normal(size=(30, 3)) * 3])
    mean, std = exact.predict(new, return_std=True)
    np.testing.assert_allclose(predict(found, new)[0], mean + y.mean(), rtol=1e-6)
    np.testing.assert_allclose(predict(found, new)[1], np.sqrt(std**2 + NOISE), rtol=1e-6)
    assert evidence(found) == pytest.approx(exact.log_marginal_likelihood_value_, rel=1e-8)


def test_the_bound_lies_below_the_exact_evidence_and_grows_with_landmarks():
    X, y = data()
    method = SparseGPMethod(CHOICE, "vfe", NOISE, SIGNAL)
    bounds = [evidence(solve(method, X, y, X[:m])) for m in (5, 20, 60, 150)]
    assert bounds == sorted(bounds)
    assert bounds[-1] == pytest.approx(evidence(solve(replace(method, approximation="dtc"), X, y, X)), rel=1e-9)


def test_far_from_the_data_the_error_is_that_of_the_prior_except_for_sor():
    X, y = data()
    far = np.full((1, 3), 1e3)  # the kernel is exactly 0 there
    for approximation in APPROXIMATIONS:
        mean, std = predict(solve(SparseGPMethod(CHOICE, approximation, NOISE, SIGNAL), X, y, X[:20]), far)
        assert mean[0] == pytest.approx(y.mean(), rel=1e-12)
        assert std[0] == pytest.approx(np.sqrt(NOISE + (0 if approximation == "sor" else SIGNAL)), rel=1e-12)


def test_units_of_the_target_are_followed():
    X, y = data()
    new = X[:9] + 0.1
    one = solve(SparseGPMethod(CHOICE, "fitc", NOISE, SIGNAL), X, y, X[:30])
    other = solve(SparseGPMethod(CHOICE, "fitc", NOISE * 1e6, SIGNAL * 1e6), X, 1e8 + 1e3 * y, X[:30])
    np.testing.assert_allclose(predict(other, new)[0], 1e8 + 1e3 * predict(one, new)[0], rtol=1e-12)
    np.testing.assert_allclose(predict(other, new)[1], 1e3 * predict(one, new)[1], rtol=1e-6)
    assert evidence(other) == pytest.approx(evidence(one) - len(y) * np.log(1e3), rel=1e-6)
    np.testing.assert_allclose(other.embedding, one.embedding, rtol=1e-4)


def test_the_solution_says_what_the_map_does(rng):
    X, y = data()
    found = solve(SparseGPMethod(CHOICE, "fitc", NOISE, SIGNAL), X, y, X[:30])
    np.testing.assert_allclose(found.map(X[:30]), found.embedding, atol=1e-8)
    stored = found._replace(map=LandmarkMap.from_state(*found.map.to_state()))
    new = rng.normal(size=(20, 3)).astype(np.float32)
    for ours, theirs in zip(predict(stored, new), predict(found, new), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    plain = solve(SparseGPMethod(CHOICE, "vfe", NOISE, SIGNAL), X, y, X[:30])
    assert plain.eigenvalues == pytest.approx([plain.map(X).var()])


@given(step=st.integers(1, 160), workers=st.sampled_from([1, 3]), chunk=st.integers(1, 160))
@settings(max_examples=12, deadline=None)
def test_chunks_and_workers_change_nothing(step, workers, chunk):
    X, y = data()
    for approximation in ("vfe", "fitc"):
        for parameters in ((NOISE, SIGNAL), (None, None)):
            method = SparseGPMethod(CHOICE, approximation, *parameters)
            one = solve(method, X, y, X[:20])
            other = solve(method, X, y, X[:20], step=step, workers=workers, chunk=chunk)
            for ours, theirs in zip(predict(other, X), predict(one, X), strict=True):
                np.testing.assert_allclose(ours, theirs, rtol=1e-9)
            assert evidence(other) == pytest.approx(evidence(one), rel=1e-9)


def test_a_chunk_of_many_tiles_is_summed_like_many_chunks():
    X, y = data(9000, 2)
    for approximation in ("vfe", "fitc"):
        method = SparseGPMethod(CHOICE, approximation, NOISE, SIGNAL)
        one, other = (solve(method, X, y, X[:8], step=step) for step in (9000, 700))
        assert evidence(one) == pytest.approx(evidence(other), rel=1e-10)
        np.testing.assert_allclose(predict(one, X)[1], predict(other, X)[1], rtol=1e-9)


def test_held_out_rows_and_rows_without_target_are_not_learned_from():
    X, y = data()
    method = SparseGPMethod(CHOICE)
    one = solve(method, X, y, X[:20], held_out=0.3)
    trains = Targets(ArrayRows(y[:, None]), 0.3, 3).trains(0, len(y))
    spoiled = np.where(trains, y, 1e9)
    spoiled[np.flatnonzero(~trains)[:5]] = np.nan
    other = solve(method, X, spoiled, X[:20], held_out=0.3)
    assert one.facts["training rows"] == trains.sum() < len(y)
    assert other.facts == one.facts
    np.testing.assert_array_equal(other.map(X), one.map(X))
    lacking = y.copy()
    lacking[~trains] = np.nan
    fewer = SparseGPMethod(CHOICE, "fitc", NOISE, SIGNAL)
    expected = predict(solve(fewer, X[trains], y[trains], X[:20]), X)
    for ours, theirs in zip(predict(solve(fewer, X, lacking, X[:20]), X), expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-9)


def test_several_models_share_a_pass():
    X, y = data()
    passes = []
    source = Source(ArrayRows(X), LocalEngine(1), ranges(150, 50), 0, Targets(ArrayRows(y[:, None])))
    counted = replace(source, watch=lambda stage, total: passes.append(stage) or nullcontext())
    methods = [SparseGPMethod(CHOICE, approximation, NOISE, SIGNAL) for approximation in APPROXIMATIONS]
    solutions = solve_all([method.solve(X[:20], F64) for method in methods], counted)
    assert passes == ["sums with target"]
    assert evidence(solutions[1]) == pytest.approx(evidence(solve(methods[1], X, y, X[:20])), rel=1e-12)


@given(logs=st.tuples(st.floats(-4, 4), st.floats(-6, 2)), m=st.integers(1, 40))
@settings(max_examples=25, deadline=None)
def test_gradient_of_the_bound(logs, m):
    X, y = data(60)
    bound = bound_of(Kernel("rbf", GAMMA), X[:m], X, y - y.mean())
    numeric = approx_fprime(np.array(logs), lambda at: bound(at)[0], 1e-7)
    np.testing.assert_allclose(bound(np.array(logs))[1], numeric, rtol=1e-4, atol=1e-3)


def test_the_bound_searched_is_the_bound_of_the_model():
    X, y = data()
    found = solve(SparseGPMethod(CHOICE, "vfe", NOISE, SIGNAL), X, y, X[:20])
    value, _ = bound_of(Kernel("rbf", GAMMA), X[:20], X, y - y.mean())(np.log([SIGNAL, NOISE]))
    assert value == pytest.approx(evidence(found), rel=1e-10)


def test_parameters_of_a_known_process_are_found(rng):
    X = rng.uniform(0, 10, (600, 1))
    K = SIGNAL * kernel_block(X, X, Kernel("rbf", 2.0))
    values, vectors = np.linalg.eigh(K)
    y = 3 + vectors @ (np.sqrt(np.maximum(values, 0)) * rng.normal(size=600)) + np.sqrt(NOISE) * rng.normal(size=600)
    found = solve(SparseGPMethod(KernelChoice("rbf")), X, y, X[:80])
    assert found.warnings == ()
    assert found.facts["noise variance"] == pytest.approx(NOISE, rel=0.25)
    assert found.facts["gamma"] == pytest.approx(2.0, rel=0.35)
    assert 0.3 < found.facts["signal variance"] / SIGNAL < 3  # ten length scales tell no more
    assert found.facts["parameters"] == "maximise the VFE bound on 600 rows drawn"
    # nothing near does better
    best = evidence(found)
    names = ("gamma", "signal variance", "noise variance")
    gamma, signal, noise = (found.facts[name] for name in names)
    for factors in ((1.2, 1, 1), (0.8, 1, 1), (1, 1.2, 1), (1, 0.8, 1), (1, 1, 1.2), (1, 1, 0.8)):
        g, s, v = np.multiply((gamma, signal, noise), factors)
        assert evidence(solve(SparseGPMethod(KernelChoice("rbf", g), "vfe", v, s), X, y, X[:80])) < best


def test_parameters_given_are_kept_and_the_others_found_around_them():
    X, y = data()
    fixed = solve(SparseGPMethod(CHOICE, noise=0.3), X, y, X[:30]).facts
    assert (fixed["noise variance"], fixed["gamma"]) == (0.3, GAMMA)
    free = solve(SparseGPMethod(KernelChoice("rbf")), X, y, X[:30]).facts
    assert free["VFE bound"] > fixed["VFE bound"]
    linear = solve(SparseGPMethod(KernelChoice("linear")), X, y, X[:3]).facts
    assert "gamma" not in linear


def test_a_bandwidth_that_landmarks_were_chosen_by_is_not_that_of_the_model():
    X, y = data()
    method = SparseGPMethod(KernelChoice("rbf"))
    assert solve(method.with_gamma(77.0), X, y, X[:30]).facts == solve(method, X, y, X[:30]).facts
    assert SparseGPMethod(CHOICE).with_gamma(77.0).choice.gamma == GAMMA


def test_a_large_source_is_learned_from_by_a_sample():
    X, y = data(2600, 2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = solve(SparseGPMethod(KernelChoice("rbf")), X, y, X[:40], step=1000)
    assert found.facts["parameters"] == "maximise the VFE bound on 2,000 rows drawn"
    assert found.facts["training rows"] == 2600
    assert found.facts["noise variance"] == pytest.approx(0.04, rel=0.2)


def test_a_target_without_noise_is_said_to_be_so():
    X = np.random.default_rng(1).normal(size=(120, 1))
    found = solve(SparseGPMethod(KernelChoice("rbf")), X, np.sin(X[:, 0]), X[:40])
    assert found.facts["noise variance"] == pytest.approx(NOISE_RANGE[0] * np.sin(X[:, 0]).var(), rel=0.01)
    assert any("noise variance" in message and "end of the range" in message for message in found.warnings)


def test_repeated_landmarks_change_nothing_but_a_warning():
    X, y = data()
    method = SparseGPMethod(CHOICE, "fitc", NOISE, SIGNAL)
    one = solve(method, X, y, X[:20])
    twice = solve(method, X, y, np.vstack([X[:20], X[:20]]))
    assert any("landmarks repeat" in message for message in twice.warnings)
    for ours, theirs in zip(predict(twice, X), predict(one, X), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-7)
    assert evidence(twice) == pytest.approx(evidence(one), rel=1e-8)


def test_a_constant_target_is_predicted_with_given_parameters_and_refused_without():
    X, _ = data()
    y = np.full(150, 4.25)
    mean, std = predict(solve(SparseGPMethod(CHOICE, "vfe", NOISE, SIGNAL), X, y, X[:20]), X)
    np.testing.assert_allclose(mean, 4.25, rtol=1e-12)
    assert (std < np.sqrt(NOISE + SIGNAL)).all()
    with pytest.raises(InputError, match=r"all 150 values drawn are 4.25, so no noise, signal and gamma"):
        solve(SparseGPMethod(CHOICE), X, y, X[:20])


def test_a_row_on_which_the_kernel_is_undefined_is_refused_or_left_out():
    X, y = data()
    X = np.vstack([X, np.zeros((1, 3))])
    y = np.append(y, 7.0)
    with pytest.raises(InputError, match="1 of 151 rows"):
        solve(SparseGPMethod(KernelChoice("cosine")), X, y, X[:3])
    targets = Targets(ArrayRows(y[:, None]))
    source = Source(ArrayRows(X), LocalEngine(1), ranges(151, 50), 0, targets, missing=lambda count: None)
    found = solve_one(SparseGPMethod(KernelChoice("cosine")).solve(X[:3], F64), source)
    assert found.facts["training rows"] == 150


@pytest.mark.parametrize(
    ("method", "message"),
    [
        (SparseGPMethod(CHOICE, noise=0.0), r"noise=0.0: is a variance in units of the target squared, positive"),
        (SparseGPMethod(CHOICE, signal=float("nan")), r"signal=nan: is a variance"),
        (SparseGPMethod(CHOICE, "ppa"), r"approximation='ppa' is unknown: choose vfe, fitc, dtc, sor"),
        (SparseGPMethod(KernelChoice("sigmoid")), r"kernel sigmoid: is not positive semidefinite"),
        (SparseGPMethod(KernelChoice("precomputed")), r"kernel precomputed: the variance .* use nystroem_ridge"),
        (SparseGPMethod(KernelChoice(lambda A, B: -A @ B.T), "vfe", 1.0, 1.0), r"100.0% of its spectrum .* no cov"),
        (SparseGPMethod(KernelChoice("rbf", -1.0), "vfe", 1.0, 1.0), r"gamma=-1.0 for kernel rbf: must be positive"),
    ],
)
def test_what_makes_no_gaussian_process_is_refused(method, message):
    X, y = data()
    with pytest.raises(InputError, match=message):
        solve(method, X, y, X[:10])


def test_a_target_of_nothing_but_nan_is_refused():
    X, y = data()
    with pytest.raises(InputError, match="no row has both coordinates and a finite target"):
        solve(SparseGPMethod(CHOICE, "vfe", NOISE, SIGNAL), X, y * np.nan, X[:10])
    with pytest.raises(InputError, match="0 of 2,000 rows drawn have a target"):
        solve(SparseGPMethod(CHOICE), X, y * np.nan, X[:10])


def test_a_kernel_undefined_for_every_bandwidth_has_no_parameters(rng):
    X = rng.normal(size=(30, 2)) * 1e200
    found = maximise(Kernel("polynomial", 1.0), X[:5], X, rng.normal(size=30), gamma=None, signal=None, noise=None)
    assert found.bound == -np.inf

"""Randomly pivoted Cholesky against dense NumPy: its law, its trace error, and where a tolerance ends it."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import landmark_ops.selection.strategies.rpcholesky as rpcholesky
from landmark_ops.engine.threads import LocalEngine
from landmark_ops.errors import InputError
from landmark_ops.numerics.kernel import Kernel, kernel_block
from landmark_ops.selection.landmarks import Landmarks
from landmark_ops.selection.pivots import Pivots
from landmark_ops.selection.rejection import trace_errors
from landmark_ops.selection.request import Request
from landmark_ops.selection.selection import select
from landmark_ops.selection.sweep import Draw, sweep
from landmark_ops.stores.sources.rows import ArrayRows

F64 = NDArray[np.float64]
RBF = Kernel("rbf", 0.1)


def choose(X: NDArray[Any], m: int, seed: int = 0, kernel: Kernel = RBF, **keywords: Any) -> Landmarks:
    return select("rpcholesky", Request(ArrayRows(X), m, seed, LocalEngine(1), kernel=kernel, **keywords))


def trace_error(K: F64, chosen: NDArray[np.int64]) -> float:
    """trace(K - K_nS K_SS^-1 K_Sn) / trace(K), dense."""
    W, C = K[np.ix_(chosen, chosen)], K[:, chosen]
    return float(np.trace(K - C @ np.linalg.solve(W, C.T)) / np.trace(K))


def law_of_first_two(K: F64) -> F64:
    """The probability of each ordered pair (i, j) of first pivots, (n, n): Chen et al. 2022, algorithm 1."""
    n = len(K)
    pairs = np.zeros((n, n))
    for i in range(n):
        rest = np.maximum(np.diag(K) - K[:, i] ** 2 / K[i, i], 0)
        rest[i] = 0
        pairs[i] = K[i, i] / np.trace(K) * rest / rest.sum()
    return pairs


def chi_squared(counts: F64, law: F64) -> float:
    expected = counts.sum() * law[law > 0]
    return float(((counts[law > 0] - expected) ** 2 / expected).sum())


@pytest.mark.parametrize("proposed", [0, 2], ids=["few proposals", "all rows proposed"])
def test_first_two_pivots_follow_the_law_of_one_at_a_time(proposed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    # 5 unlike rows, the second pair almost equal: once one of it is chosen the other is rejected.
    X = np.array([[0.0, 1.0], [2.0, 0.0], [2.0, 0.3], [-1.0, -2.0], [0.5, 3.0]])
    kernel = Kernel("polynomial", 1.0, degree=2.0, coef0=1.0)
    monkeypatch.setattr(rpcholesky, "PROPOSED", proposed)
    monkeypatch.setattr(rpcholesky, "SPARE", 3 if proposed == 0 else 20)
    law = law_of_first_two(kernel_block(X, X, kernel))
    counts = np.zeros((5, 5))
    for seed in range(2_000):
        counts[tuple(choose(X, 2, seed, kernel).indices)] += 1
    assert law[1, 2] < 0.1 * law[1, 4]  # the law is far from that of the start
    assert (counts[law == 0] == 0).all()
    assert chi_squared(counts, law) < 43.8  # 19 degrees of freedom: p < .001 above


def test_rows_that_coincide_share_their_probability() -> None:
    X = np.array([[0.0], [0.0], [0.0], [9.0]])
    first = np.zeros(4)
    for seed in range(1_000):
        chosen = choose(X, 2, seed)
        first[chosen.indices[0]] += 1
        assert sorted(chosen.points[:, 0]) == [0, 9]
    assert chi_squared(first, np.full(4, 0.25)) < 16.3  # 3 degrees of freedom: p < .001 above


@given(seed=st.integers(0, 2**32), d=st.integers(1, 6), gamma=st.floats(0.01, 2))
@settings(max_examples=15, deadline=None)
def test_trace_errors_are_those_of_the_dense_matrix(seed: int, d: int, gamma: float) -> None:
    X = np.random.default_rng(seed).normal(size=(150, d))
    kernel = Kernel("rbf", gamma)
    K = kernel_block(X, X, kernel)
    tolerance = 0.05
    chosen = choose(X, 150, seed, kernel, tolerance=tolerance)
    said = float(re.findall(r"relative trace error (\S+), within", chosen.note)[0])
    dense = trace_error(K, chosen.indices)
    assert said == pytest.approx(dense, rel=6e-3)  # printed with three digits
    assert dense <= tolerance * (1 + 1e-9)
    if len(chosen.indices) > 1:
        assert trace_error(K, chosen.indices[:-1]) > tolerance * (1 - 1e-9)


def test_every_prefix_has_its_trace_error(rng: np.random.Generator) -> None:
    X = rng.normal(size=(400, 3)).astype(np.float32)
    K = kernel_block(X.astype(float), X.astype(float), RBF)
    chosen = choose(X, 25)
    L = np.linalg.cholesky(K[np.ix_(chosen.indices, chosen.indices)])
    made = Pivots(chosen.indices, chosen.points, L)
    ask = Request(ArrayRows(X), 25, 0, LocalEngine(2), kernel=RBF)
    found = sweep(ask, made, Draw(5, 0, 0), "float64")
    errors = trace_errors(found)
    assert errors[0] == pytest.approx(1)
    for j in (1, 5, 25):
        assert errors[j] == pytest.approx(trace_error(K, chosen.indices[:j]), rel=1e-9)
    low = trace_errors(sweep(ask, made, Draw(5, 0, 0), "float32"))
    np.testing.assert_allclose(low, errors, atol=1e-5)
    assert not np.array_equal(low, errors)


def test_the_estimate_of_the_error_is_near_it(rng: np.random.Generator) -> None:
    X = rng.normal(size=(600, 8))
    chosen = choose(X, 100)
    said = float(re.findall(r"about (\S+) with all", chosen.note)[0])
    K = kernel_block(X, X, RBF)
    assert said == pytest.approx(trace_error(K, chosen.indices), rel=0.2)


def test_it_comes_near_the_best_rank(rng: np.random.Generator) -> None:
    X = rng.normal(size=(400, 2))
    K = kernel_block(X, X, RBF)
    values = np.linalg.eigvalsh(K)[::-1]
    best = values[20:].sum() / values.sum()
    errors = [trace_error(K, choose(X, 40, seed).indices) for seed in range(5)]
    assert np.median(errors) <= best  # twice the landmarks of the best rank 20
    uniform = [select("uniform", Request(ArrayRows(X), 40, seed, LocalEngine(1))).indices for seed in range(5)]
    assert np.median(errors) < 0.3 * np.median([trace_error(K, chosen) for chosen in uniform])


# tolerance


def test_a_tolerance_takes_the_fewest_of_one_sequence(rng: np.random.Generator) -> None:
    X = rng.normal(size=(500, 3))
    loose, tight = (choose(X, 400, 7, tolerance=tolerance) for tolerance in (0.3, 1e-3))
    assert len(loose.indices) < len(tight.indices) < 400
    np.testing.assert_array_equal(loose.indices, tight.indices[: len(loose.indices)])
    assert loose.weights.tolist() == [500 / len(loose.indices)] * len(loose.indices)


def test_a_tolerance_not_reached_says_how_far_it_got(rng: np.random.Generator) -> None:
    X = rng.normal(size=(300, 6))
    with pytest.raises(InputError, match=r"landmarks.tolerance 1e-06 not reached.*with 10 landmarks") as caught:
        choose(X, 10, tolerance=1e-6)
    said = float(re.findall(r"relative trace error is (\S+) with", str(caught.value))[0])
    assert said == pytest.approx(trace_error(kernel_block(X, X, RBF), choose(X, 10).indices), rel=6e-3)
    assert f"landmarks.tolerance above {said:.3g}" in str(caught.value)


def test_tolerance_zero_takes_the_rank(rng: np.random.Generator) -> None:
    X = rng.integers(-9, 9, size=(600, 3)).astype(float)
    chosen = choose(X, 600, kernel=Kernel("linear"), tolerance=0.0)
    assert len(chosen.indices) == 3
    assert "relative trace error 0, within the tolerance 0" in chosen.note
    assert len(choose(np.ones((50, 2)), 50, tolerance=0.0).indices) == 1


def test_a_float32_source_is_followed_down_to_float64_rounding() -> None:
    X = np.linspace(0, 1, 2_000, dtype=np.float32)[:, None]
    kernel = Kernel("rbf", 8.0)
    chosen = choose(X, 40, kernel=kernel, tolerance=1e-11)
    K = kernel_block(X.astype(float), X.astype(float), kernel)
    C, W = K[:, chosen.indices], K[np.ix_(chosen.indices, chosen.indices)]
    assert 8 < len(chosen.indices) < 25
    assert np.trace(K - C @ np.linalg.pinv(W, rcond=1e-15) @ C.T) / 2_000 < 1e-9

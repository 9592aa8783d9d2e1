"""Greedy column subset selection and largest residuals against brute force."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

import landmark_ops.selection.pool as pool
import landmark_ops.selection.strategies.active as active
import landmark_ops.selection.strategies.greedy as greedy
import landmark_ops.selection.sweep as sweeps
from landmark_ops.engine.threads import LocalEngine
from landmark_ops.errors import InputError
from landmark_ops.numerics.kernel import Kernel, kernel_block
from landmark_ops.numerics.metric import Metric, resolve_metric
from landmark_ops.selection.candidates import Candidates
from landmark_ops.selection.landmarks import Landmarks
from landmark_ops.selection.pivots import Pivots
from landmark_ops.selection.request import Request
from landmark_ops.selection.selection import select
from landmark_ops.selection.sketches import GROUPS, sketch
from landmark_ops.selection.sweep import Draw, sweep
from landmark_ops.stores.sources.rows import ArrayRows

F64 = NDArray[np.float64]
RBF = Kernel("rbf", 0.1)


def choose(X: NDArray[Any], m: int, strategy: str, seed: int = 0, **keywords: Any) -> Landmarks:
    return select(strategy, Request(ArrayRows(X), m, seed, LocalEngine(1), **{"kernel": RBF, **keywords}))


def rest(K: F64, chosen: list[int]) -> F64:
    """K - K_nS K_SS^-1 K_Sn, dense."""
    if not chosen:
        return K
    return K - K[:, chosen] @ np.linalg.solve(K[np.ix_(chosen, chosen)], K[chosen])


def best_by_trace(K: F64, m: int) -> list[int]:
    """Every row tried at every step."""
    chosen: list[int] = []
    for _ in range(m):
        traces = [np.inf if i in chosen else np.trace(rest(K, [*chosen, i])) for i in range(len(K))]
        chosen.append(int(np.argmin(traces)))
    return chosen


# greedy


@pytest.mark.parametrize(
    "kernel", [RBF, Kernel("laplacian", 0.5), Kernel("polynomial", 0.3, degree=3.0, coef0=1.0)], ids=lambda k: k.name
)
def test_greedy_is_that_of_brute_force(kernel: Kernel, rng: np.random.Generator) -> None:
    X = rng.normal(size=(60, 3))
    chosen = choose(X, 9, "greedy", kernel=kernel)
    assert chosen.indices.tolist() == best_by_trace(kernel_block(X, X, kernel), 9)
    assert "exact" in chosen.note
    assert choose(X, 9, "greedy", seed=5, kernel=kernel).indices.tolist() == chosen.indices.tolist()


def test_greedy_counts_rows_that_coincide(rng: np.random.Generator) -> None:
    X = np.concatenate([np.zeros((1, 2)), np.full((30, 2), 50.0), np.full((5, 2), -50.0)])
    assert choose(X, 3, "greedy").points[:, 0].tolist() == [50, -50, 0]


@given(seed=st.integers(0, 2**32), gamma=st.floats(0.02, 3))
@settings(max_examples=8, deadline=None)
def test_sketched_greedy_comes_near_the_exact_one(seed: int, gamma: float) -> None:
    X = np.random.default_rng(seed).normal(size=(300, 3))
    kernel = Kernel("rbf", gamma)
    K = kernel_block(X, X, kernel)
    with pytest.MonkeyPatch.context() as patch:
        exact = np.trace(rest(K, choose(X, 15, "greedy", seed, kernel=kernel).indices.tolist()))
        patch.setattr(greedy, "EXACT_ROWS", 100)
        patch.setattr(sweeps, "LEAST_BLOCK", 128)
        sketched = choose(X, 15, "greedy", seed, kernel=kernel)
    assert "256 random groups" in sketched.note
    assert np.trace(rest(K, sketched.indices.tolist())) <= 1.3 * exact + 1e-9 * len(K)


def test_a_sketch_keeps_norms(rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweeps, "LEAST_BLOCK", 256)
    X = rng.normal(size=(2_000, 3))
    K = kernel_block(X, X, RBF)
    ask = Request(ArrayRows(X), 30, 0, LocalEngine(2), kernel=RBF)
    first = rng.choice(2_000, 8, replace=False)
    made = Pivots(first, X[first], np.linalg.cholesky(K[np.ix_(first, first)]))
    found = sweep(ask, made, Draw(40, 0, 0), "float64")
    candidates = Candidates.of(found, made, RBF, 30)
    E = rest(K, first.tolist())[:, found.indices]
    sketches = [sketch(ask, made, candidates, (0, stream), "float64") for stream in range(30)]
    assert sketches[0].shape == (GROUPS, 40)
    norms = np.array([np.einsum("ij,ij->j", S, S) for S in sketches]) / np.einsum("ij,ij->j", E, E)
    assert abs(norms.mean() - 1) < 0.02
    assert 0.04 < norms.std() < 0.15  # sqrt(2 / 256) = 0.09 if no row stands out
    single = sketch(ask, made, candidates, (0, 0), "float32")
    np.testing.assert_allclose(single, sketches[0], atol=1e-3)


def test_greedy_goes_on_where_candidates_are_used_up(monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator) -> None:
    monkeypatch.setattr(greedy, "EXACT_ROWS", 100)
    monkeypatch.setattr(greedy, "LEAST_CANDIDATES", 12)
    # The first candidates are nearly all of the blob, of rank 1 to rounding; its residuals then vanish.
    X = np.concatenate([rng.normal(size=(3_000, 1)) * 1e-9, np.arange(1, 31)[:, None] * 40.0])
    chosen = choose(X, 20, "greedy")
    assert (chosen.indices < 3_000).sum() == 1
    assert int(re.findall(r"(\d+) rounds", chosen.note)[0]) > greedy.ROUNDS


# active


@given(seed=st.integers(0, 2**32), gamma=st.floats(0.01, 3), together=st.sampled_from([1, 7, 64]))
@settings(max_examples=15, deadline=None)
def test_active_takes_the_largest_residual_each_time(seed: int, gamma: float, together: int) -> None:
    X = np.random.default_rng(seed).normal(size=(200, 3))
    kernel = Kernel("rbf", gamma)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pool, "TOGETHER", together)
        chosen = choose(X, 12, "active", seed, kernel=kernel).indices.tolist()
    K = kernel_block(X, X, kernel)
    for j in range(1, 12):
        left = np.diag(rest(K, chosen[:j]))
        assert left[chosen[j]] >= left.max() * (1 - 1e-6) - 1e-12


@pytest.mark.parametrize("name", ["euclidean", "cosine", "cityblock"])
def test_active_under_a_metric_takes_what_mds_leaves_unexplained(name: str, rng: np.random.Generator) -> None:
    X = rng.normal(size=(150, 20))
    chosen = choose(X, 10, "active", kernel=None, metric=Metric(name)).indices.tolist()
    D = cdist(X, X, name)
    squares = 2 * D if name == "cosine" else D**2  # on rows of unit length
    for j in range(2, 10):
        Z = chosen[:j]
        J = np.eye(j) - 1 / j
        values, vectors = np.linalg.eigh(-0.5 * J @ squares[np.ix_(Z, Z)] @ J)
        lead = values > 1e-9 * values[-1]
        delta = squares[:, Z]
        placed = -0.5 * (delta - squares[np.ix_(Z, Z)].mean(axis=0)) @ vectors[:, lead] / np.sqrt(values[lead])
        left = delta.mean(axis=1) - 0.5 * squares[np.ix_(Z, Z)].mean() - (placed**2).sum(axis=1)
        assert left[chosen[j]] >= left.max() - 1e-9 * squares.max()


def test_active_is_not_maxmin() -> None:
    """Two landmarks explain everything on the line between them, however far from both."""
    X = np.array([[0.0, 0.0], [10.0, 0.0], [5.0, 0.0], [1.0, 0.1]])
    found = [choose(X, 3, "active", seed, kernel=None).indices for seed in range(20)]
    started = [chosen.tolist() for chosen in found if set(chosen[:2]) == {0, 1}]
    assert started
    assert {chosen[2] for chosen in started} == {3}
    maxmin = [choose(X, 3, "maxmin", seed).indices for seed in range(20)]
    assert {chosen[2] for chosen in maxmin if set(chosen[:2]) == {0, 1}} == {2}


def test_active_under_a_metric_ends_at_the_dimension(rng: np.random.Generator) -> None:
    X = rng.normal(size=(300, 4)) * [1, 1, 1, 1e-3]
    assert len(choose(X, 5, "active", kernel=None).indices) == 5
    assert "explained all" not in choose(X, 5, "active", kernel=None).note
    more = choose(X, 20, "active", kernel=None)
    assert "; 5 landmarks explained all, the others are the farthest from the nearest landmark" in more.note
    for j in range(5, 20):
        gaps = cdist(X, X[more.indices[:j]]).min(axis=1)
        assert gaps[more.indices[j]] == pytest.approx(gaps.max())
    with pytest.raises(InputError, match=r"only 3 landmarks can be had \(the others of 90 rows looked at coincide"):
        choose(np.repeat(np.eye(3), 30, axis=0), 4, "active", kernel=None)


def test_active_says_where_distances_are_not_euclidean(rng: np.random.Generator) -> None:
    X = rng.normal(size=(300, 6))
    assert "is not Euclidean" in choose(X, 40, "active", kernel=None, metric=Metric("chebyshev")).note
    assert "is not Euclidean" not in choose(X, 5, "active", kernel=None).note


@pytest.mark.parametrize("blockwise", [True, False])
@pytest.mark.parametrize("looks", ["kernel", "metric"])
def test_active_counts_every_evaluation(looks: str, blockwise: bool, rng: np.random.Generator) -> None:
    X = rng.normal(size=(2_500, 5))
    calls = 0

    def pairs(x: F64, z: F64) -> float:
        nonlocal calls
        calls += 1
        distance = float(np.abs(x - z).sum())
        return distance if looks == "metric" else np.exp(-0.2 * distance)

    def blocks(A: F64, B: F64) -> F64:
        nonlocal calls
        calls += A.shape[0] * B.shape[0]
        return cdist(A, B, "cityblock") if looks == "metric" else np.exp(-0.2 * cdist(A, B, "cityblock"))

    own = blocks if blockwise else pairs
    if looks == "metric":
        metric = resolve_metric(own, None, X)
        keywords: dict[str, Any] = {"kernel": None, "metric": metric}
    else:
        keywords = {"kernel": Kernel(own, blockwise=blockwise)}
    calls = 0
    chosen = choose(X, 12, "active", **keywords)
    said = int(re.findall(r"(\d+) evaluations", chosen.note)[0])
    assert said == calls if looks == "metric" else said <= calls  # the diagonal is computed in small square blocks
    assert said <= 13 * active.pool_rows(2_500, 5, 12)  # the whole of the pool against each landmark, and a diagonal
    assert (
        "1024 of 2500 rows drawn uniformly, which with 95 % confidence meet any given 0.29% of the rows" in chosen.note
    )


def test_the_pool_is_bounded_by_the_landmarks_not_by_n() -> None:
    assert active.pool_rows(10**9, 192, 10) == 1_024
    assert active.pool_rows(10**9, 192, 500) == 16_000
    assert active.pool_rows(10**9, 192, 1_000) == 16_777
    assert active.pool_rows(10**9, 192, 10_000) == 40_000
    assert active.pool_rows(700, 192, 500) == 700


def test_an_undefined_distance_is_an_error() -> None:
    X = np.zeros((50, 3))
    with pytest.raises(InputError, match="metric braycurtis"):
        choose(X, 2, "active", kernel=None, metric=Metric("braycurtis"))

"""Ridge leverage scores against dense NumPy, and what is drawn by them."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import landmark_ops.selection.levels as levels
import landmark_ops.selection.strategies.bless as bless
import landmark_ops.selection.strategies.leverage as leverage
import landmark_ops.selection.sweep as sweeps
from landmark_ops.engine.threads import LocalEngine
from landmark_ops.errors import InputError
from landmark_ops.numerics.kernel import Kernel, kernel_block
from landmark_ops.selection.landmarks import Landmarks
from landmark_ops.selection.pivots import Pivots, Precision
from landmark_ops.selection.race import race
from landmark_ops.selection.request import Request
from landmark_ops.selection.residuals import residuals
from landmark_ops.selection.scores import Weighted, inclusion, keep, oversampling, score, tail_rank, tail_ridge
from landmark_ops.selection.selection import select
from landmark_ops.selection.sweep import Draw, Sweep
from landmark_ops.stores.sources.rows import ArrayRows

F64 = NDArray[np.float64]
RBF = Kernel("rbf", 0.2)
BOTH = ("leverage", "bless")


@pytest.fixture
def X(rng: np.random.Generator) -> F64:
    """A dense blob, and few rows far out that have most of the leverage."""
    return np.concatenate([rng.normal(size=(700, 2)) * 0.5, rng.normal(size=(50, 2)) * 12])


def choose(X: NDArray[Any], m: int, strategy: str, seed: int = 0, **keywords: Any) -> Landmarks:
    return select(strategy, Request(ArrayRows(X), m, seed, LocalEngine(1), **{"kernel": RBF, **keywords}))


def exact_scores(X: F64, ridge: float) -> F64:
    K = kernel_block(X, X, RBF)
    return np.diag(np.linalg.solve(K + ridge * np.eye(len(K)), K))


def all_kept(X: F64) -> Weighted:
    return Weighted(np.arange(len(X)), X, np.ones(len(X)))


@pytest.mark.parametrize("ridge", [1e-3, 1.0, 1e3])
def test_scores_from_all_rows_are_exact(X: F64, ridge: float) -> None:
    found = score(X, all_kept(X), ridge, RBF, LocalEngine(2))
    np.testing.assert_allclose(found, exact_scores(X, ridge), rtol=1e-6)


def test_scores_from_a_sample_are_within_a_factor(X: F64, rng: np.random.Generator) -> None:
    """Kept by their own score, oversampled: between 1/2 and 2 times exact (Musco & Musco 2017, lemma 6)."""
    exact = exact_scores(X, 1.0)
    for _ in range(5):
        kept = keep(np.arange(len(X)), X, 4 * oversampling(200) * exact, rng.random(len(X)))
        assert len(kept.indices) < len(X) * 0.8
        ratio = score(X, kept, 1.0, RBF, LocalEngine(1)) / exact
        assert 0.5 < ratio.min() <= ratio.max() < 2


def test_scores_are_clamped(X: F64) -> None:
    nothing = Weighted(np.zeros(0, np.int64), X[:0], np.zeros(0))
    assert score(X, nothing, 0.25, RBF, LocalEngine(1)).tolist() == [1.0] * len(X)
    assert score(X, all_kept(X), 1e-9, RBF, LocalEngine(1)).max() <= 1


def test_the_ridge_is_the_tail_of_the_spectrum(X: F64) -> None:
    k = tail_rank(200)
    values = np.linalg.eigvalsh(kernel_block(X, X, RBF))[::-1]
    ridge = tail_ridge(all_kept(X), RBF, k)
    assert k == 10  # 200 / (4 log 200)
    assert ridge.value == pytest.approx(values[k:].sum() / k)
    assert ridge.relative == pytest.approx(values[k:].sum() / values.sum())
    assert exact_scores(X, ridge.value).sum() <= 2 * k


def test_the_ridge_of_a_low_rank_kernel_is_above_rounding() -> None:
    same = np.ones((20, 2))
    assert 0 < tail_ridge(all_kept(same), RBF, 3).value < 1e-9


@pytest.mark.parametrize("core", [128, 10_000], ids=["passes", "central"])
def test_the_last_sample_judges_all_rows_within_a_factor(X: F64, core: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(levels, "CORE_ROWS", core)  # too few rows for the factor of 2 that larger samples would have
    monkeypatch.setattr(levels, "CORE_PER_LANDMARK", 1)
    monkeypatch.setattr(sweeps, "LEAST_BLOCK", 128)
    caught: list[tuple[Any, Pivots]] = []
    original = leverage.sweep

    def sweep(ask: Request, made: Pivots, draw: Draw, precision: Precision) -> Sweep:
        caught.append((draw, made))
        return original(ask, made, draw, precision)

    monkeypatch.setattr(leverage, "sweep", sweep)
    for seed in range(4):
        choose(X, 100, "leverage", seed)
        (draw, made) = caught[-1]
        assert len(made.indices) < 400
        found = np.minimum(residuals(X, made, RBF, "float64").left / draw.cap, 1)
        # A sample of a quarter of the rows, whose ridge is a quarter: scores are about 4 times exact.
        ratio = found / exact_scores(X, draw.cap * (1 if core > len(X) else 4))
        assert np.quantile(ratio, 0.01) > 0.5
        assert np.quantile(ratio, 0.99) < 16


@pytest.mark.parametrize("strategy", BOTH)
def test_rows_of_high_leverage_are_drawn_more_often(strategy: str, X: F64) -> None:
    exact = exact_scores(X, tail_ridge(all_kept(X), RBF, tail_rank(60)).value)
    share = exact[700:].sum() / exact.sum()
    far = np.mean([(choose(X, 60, strategy, seed).indices >= 700).mean() for seed in range(10)])
    assert share > 0.3
    assert 0.5 * share < far < 1.5 * share  # uniformly they would be 3 %


@pytest.mark.parametrize("strategy", BOTH)
def test_weights_count_rows_without_bias(strategy: str, X: F64) -> None:
    totals, near = [], []
    for seed in range(40):
        chosen = choose(X, 60, strategy, seed)
        totals.append(chosen.weights.sum())
        near.append(chosen.weights[chosen.indices < 350].sum())
    for found, truth in ((totals, 750), (near, 350)):
        assert abs(np.mean(found) - truth) < 4 * np.std(found) / np.sqrt(40) + 0.03 * truth


def test_inclusion_is_the_chance_to_come_before_the_threshold(rng: np.random.Generator) -> None:
    scores = np.array([0.1, 0.5, 1.0])
    before = np.mean([race(scores, rng.random(3)) < 0.7 for _ in range(4_000)], axis=0)
    np.testing.assert_allclose(inclusion(scores, 0.7), before, atol=0.03)
    assert inclusion(scores, np.inf).tolist() == [1, 1, 1]


def test_a_thinned_sample_still_judges_rows(X: F64) -> None:
    ask = Request(ArrayRows(X), 100, 0, LocalEngine(1), kernel=RBF)
    thin = levels.thinned(all_kept(X), ask, RBF, 0)
    assert len(thin.indices) < 300
    assert thin.probability.min() < 0.2
    ridge = tail_ridge(all_kept(X), RBF, tail_rank(100)).value
    ratio = score(X, thin, ridge, RBF, LocalEngine(1)) / exact_scores(X, ridge)
    assert 0.3 < ratio.min() <= ratio.max() < 3


def test_levels_are_quarters_down_to_what_fits() -> None:
    assert levels.level_shares(1_000_000, 8_192) == [1 / 64, 1 / 16, 1 / 4]
    assert levels.level_shares(8_000, 8_000) == []
    assert levels.core_rows(10**9, 192, 1_000) == 8_192
    assert levels.core_rows(10**9, 150_528, 1_000) == 4_000
    assert levels.core_rows(500, 2, 1_000) == 500


def test_bless_looks_at_a_part_of_the_rows_and_says_where_it_ended(X: F64, monkeypatch: pytest.MonkeyPatch) -> None:
    many = np.concatenate([X] * 8) + np.random.default_rng(0).normal(size=(6_000, 2)) * 0.01
    chosen = choose(many, 40, "bless")
    assert 320 <= int(re.findall(r"40 of (\d+) rows, drawn uniformly from 6000", chosen.note)[0]) < 3_000
    assert "reaches 40 / log 40" in chosen.note
    narrow = choose(many, 300, "bless", kernel=Kernel("rbf", 1e-4))
    assert "rounding ends here" in narrow.note or "reaches" in narrow.note
    monkeypatch.setattr(bless, "MOST_ROWS", 600)
    assert "a smaller one needs more than 600 rows" in choose(many, 300, "bless").note


@pytest.mark.parametrize("strategy", BOTH)
def test_rows_without_leverage_are_not_drawn(strategy: str, rng: np.random.Generator) -> None:
    X = np.zeros((400, 3))
    X[:20] = rng.normal(size=(20, 3))
    chosen = choose(X, 20, strategy, kernel=Kernel("linear"))
    assert sorted(chosen.indices) == list(range(20))
    with pytest.raises(InputError, match=r"only 20 landmarks can be had.*have leverage 0 or coincide"):
        choose(X, 21, strategy, kernel=Kernel("linear"))

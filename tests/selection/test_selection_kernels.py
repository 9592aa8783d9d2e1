"""What holds for every strategy that looks at a kernel: invariance, distinct rows, bad rows, progress, messages."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import landmark_ops.selection.levels as levels
import landmark_ops.selection.residuals as residuals
import landmark_ops.selection.sketches as sketches
import landmark_ops.selection.strategies.active as active
import landmark_ops.selection.strategies.greedy as greedy
import landmark_ops.selection.sweep as sweeps
from landmark_ops.engine.cluster import ClusterEngine
from landmark_ops.engine.protocol import Engine
from landmark_ops.engine.threads import LocalEngine
from landmark_ops.errors import BadRowsError, InputError
from landmark_ops.numerics.kernel import Kernel, resolve_kernel
from landmark_ops.numerics.metric import Metric
from landmark_ops.row_range import RowRange
from landmark_ops.selection.call import select_landmarks
from landmark_ops.selection.landmarks import Landmarks
from landmark_ops.selection.probe import probe_rows
from landmark_ops.selection.request import Request
from landmark_ops.selection.selection import select
from landmark_ops.selection.strategy import strategies
from landmark_ops.stores.sources.rows import ArrayRows

USES_KERNEL = tuple(one.name for one in strategies() if one.needs_kernel)
STRATEGIES = tuple(one.name for one in strategies() if one.by_kernel)
RBF = Kernel("rbf", 0.1)


@pytest.fixture
def many_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Grids, levels and rounds as for large n, on few rows."""
    monkeypatch.setattr(sweeps, "LEAST_BLOCK", 64)
    monkeypatch.setattr(residuals, "TILE_ELEMENTS", 1 << 15)
    monkeypatch.setattr(levels, "CORE_ROWS", 100)
    monkeypatch.setattr(greedy, "EXACT_ROWS", 100)
    monkeypatch.setattr(greedy, "LEAST_CANDIDATES", 64)
    monkeypatch.setattr(sketches, "GROUPS", 64)
    monkeypatch.setattr(active, "LEAST_LOOKED", 200)


def choose(X: NDArray[Any], m: int, strategy: str, engine: Engine | None = None, **keywords: Any) -> Landmarks:
    return select(
        strategy, Request(ArrayRows(X), m, **{"seed": 0, "engine": engine or LocalEngine(1), "kernel": RBF, **keywords})
    )


def same(a: Landmarks, b: Landmarks) -> None:
    np.testing.assert_array_equal(a.indices, b.indices)
    np.testing.assert_array_equal(a.points, b.points)
    np.testing.assert_array_equal(a.weights, b.weights)
    assert a.points.dtype == b.points.dtype
    assert a.note == b.note


@pytest.mark.usefixtures("many_blocks")
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_landmarks_do_not_depend_on_chunks_workers_or_engine(
    strategy: str, dtype: type, chunked: Callable[..., Any], cluster: ClusterEngine, rng: np.random.Generator
) -> None:
    X = (rng.standard_t(4, size=(2_000, 5)) + 3).astype(dtype)
    X[:50] = X[50:100]
    X[[17, 1_999], 2] = np.nan
    engines: list[Engine] = [LocalEngine(1), LocalEngine(3), cluster]
    chosen = [
        select(strategy, Request(chunked(X, chunk), 40, 3, engine, kernel=RBF, skip_bad_rows=True))
        for engine, chunk in zip([*engines, *engines], [1, *rng.integers(2, 2_500, 5).tolist()], strict=True)
    ]
    for other in chosen[1:]:
        same(chosen[0], other)
    assert chosen[0].points.dtype == dtype
    np.testing.assert_array_equal(chosen[0].points, X[chosen[0].indices])
    different = choose(X, 40, strategy, seed=4, skip_bad_rows=True)
    assert set(different.indices) != set(chosen[0].indices)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_one_block_gives_the_same_landmarks_on_every_engine(
    strategy: str, cluster: ClusterEngine, rng: np.random.Generator
) -> None:
    X = rng.normal(size=(900, 6)).astype(np.float32)
    same(choose(X, 30, strategy, LocalEngine(3)), choose(X, 30, strategy, cluster))


@pytest.mark.usefixtures("many_blocks")
@pytest.mark.parametrize("strategy", STRATEGIES)
@given(seed=st.integers(0, 2**63 - 1), n=st.integers(1, 700), copies=st.integers(1, 4), data=st.data())
@settings(max_examples=12, deadline=None)
def test_landmarks_are_distinct_rows_and_well_weighted(
    strategy: str, seed: int, n: int, copies: int, data: st.DataObject
) -> None:
    X = np.random.default_rng(seed).normal(size=(-(-n // copies), 3))[np.arange(n) % -(-n // copies)] * 9
    m = data.draw(st.integers(1, max(1, min(30, len(np.unique(X, axis=0)) // 4))))
    chosen = choose(X, m, strategy, seed=seed)
    assert chosen.indices.shape == (m,)
    assert len(np.unique(chosen.points, axis=0)) == m
    np.testing.assert_array_equal(chosen.points, X[chosen.indices])
    assert (chosen.weights >= 1).all()
    assert np.isfinite(chosen.weights).all()


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_as_many_landmarks_as_rows_are_all_rows(strategy: str, rng: np.random.Generator) -> None:
    X = rng.normal(size=(70, 3)) * 9
    chosen = choose(X, 70, strategy)
    assert sorted(chosen.indices) == list(range(70))
    np.testing.assert_allclose(chosen.weights, np.ones(70))


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_one_landmark_of_one_row_and_of_equal_rows(strategy: str) -> None:
    assert choose(np.ones((1, 2)), 1, strategy).indices.tolist() == [0]
    chosen = choose(np.ones((9, 2)), 1, strategy)
    assert chosen.points.tolist() == [[1, 1]]
    with pytest.raises(InputError, match=r"only 1 landmarks can be had .*: lower landmarks.count to 1$"):
        choose(np.ones((9, 2)), 2, strategy)


@pytest.mark.usefixtures("many_blocks")
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_few_distinct_rows_are_each_chosen_once(strategy: str, rng: np.random.Generator) -> None:
    X = rng.permutation(np.repeat(np.arange(12.0) * 7, 60))[:, None]
    chosen = choose(X, 12, strategy)
    assert sorted(chosen.points[:, 0]) == (np.arange(12.0) * 7).tolist()
    with pytest.raises(InputError, match="only 12 landmarks can be had"):
        choose(X, 13, strategy)


@pytest.mark.usefixtures("many_blocks")
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("strategy", ["rpcholesky", "greedy", "active"])
def test_rank_ends_the_choice(strategy: str, dtype: type, rng: np.random.Generator) -> None:
    X = (rng.integers(-3, 4, size=(1_000, 4)) @ rng.integers(-3, 4, size=(4, 9))).astype(dtype)
    X[::5] = 0  # says nothing under a linear kernel
    linear = Kernel("linear")
    rank = 4
    chosen = choose(X, rank, strategy, kernel=linear)
    assert np.linalg.matrix_rank(chosen.points.astype(float)) == rank
    with pytest.raises(InputError, match=rf"only {rank} landmarks can be had.*lower landmarks.count to {rank}$"):
        choose(X, rank + 1, strategy, kernel=linear)
    with pytest.raises(InputError, match="only 1 landmarks can be had"):
        choose(np.outer(np.arange(600.0), [1, 2]), 2, strategy, kernel=linear)
    with pytest.raises(InputError, match="only 0 landmarks can be had"):
        choose(np.zeros((600, 2)), 1, strategy, kernel=linear)


@pytest.mark.usefixtures("many_blocks")
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_bad_rows_are_refused_or_passed_over(strategy: str, rng: np.random.Generator) -> None:
    X = rng.normal(size=(1_000, 2))
    X[::3, 1] = np.nan
    with pytest.raises(BadRowsError, match="hold NaN or Inf"):
        choose(X, 20, strategy)
    chosen = choose(X, 20, strategy, LocalEngine(2), skip_bad_rows=True)
    assert np.isfinite(chosen.points).all()
    with pytest.raises(InputError, match="only 0 "):
        choose(np.full((300, 2), np.nan), 3, strategy, skip_bad_rows=True)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_cosine_kernel_needs_directions(strategy: str, rng: np.random.Generator) -> None:
    X = rng.normal(size=(60, 80))
    X[5] = 0
    with pytest.raises(InputError, match=r"no direction under metric cosine.*is row 5"):
        choose(X, 20, strategy, kernel=Kernel("cosine"))
    chosen = choose(X, 20, strategy, kernel=Kernel("cosine"), skip_bad_rows=True)
    assert 5 not in chosen.indices


@pytest.mark.usefixtures("many_blocks")
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_progress_goes_through_exactly_what_was_planned(strategy: str, rng: np.random.Generator) -> None:
    plans: list[int] = []
    gone: list[RowRange] = []
    choose(rng.normal(size=(1_500, 3)), 10, strategy, planned=plans.append, done=gone.append)
    assert sum(stop - start for start, stop in gone) == plans[-1]


@pytest.mark.parametrize("strategy", USES_KERNEL)
def test_values_that_are_no_kernel_are_refused(strategy: str, rng: np.random.Generator) -> None:
    X = rng.normal(size=(300, 2))
    with pytest.raises(InputError, match="kernel sigmoid is not positive semidefinite"):
        choose(X, 20, strategy, kernel=Kernel("sigmoid", 1.0, coef0=-1.0))
    with pytest.raises(InputError, match="kernel polynomial: values among the rows are NaN or Inf"):
        choose(X * 1e60, 20, strategy, kernel=Kernel("polynomial", degree=8.0))


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_rows_too_large_for_float32_products(strategy: str, rng: np.random.Generator) -> None:
    X = (rng.normal(size=(200, 2)) * 1e30).astype(np.float32)
    chosen = choose(X, 9, strategy, kernel=Kernel("rbf", 1e-60))
    assert len(set(chosen.indices)) == 9


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("blockwise", [True, False])
def test_a_callable_is_the_kernel_it_computes(strategy: str, blockwise: bool, rng: np.random.Generator) -> None:
    X = rng.normal(size=(150, 2))

    def pairs(x: NDArray[Any], z: NDArray[Any]) -> float:
        return float(np.exp(-0.3 * np.abs(x - z).sum()))

    def blocks(A: NDArray[Any], B: NDArray[Any]) -> NDArray[Any]:
        return np.exp(-0.3 * np.abs(A[:, None] - B).sum(axis=2))

    own = resolve_kernel(blocks if blockwise else pairs, X)
    assert own.blockwise is blockwise
    named = choose(X, 8, strategy, kernel=Kernel("laplacian", 0.3))
    np.testing.assert_array_equal(choose(X, 8, strategy, kernel=own).indices, named.indices)


# select, select_landmarks, probe_rows


@pytest.mark.parametrize("strategy", USES_KERNEL)
def test_a_missing_kernel_is_named(strategy: str) -> None:
    with pytest.raises(
        InputError, match=f"strategy {strategy} chooses by a kernel, got none: use a method with a kernel"
    ):
        choose(np.eye(5), 2, strategy, kernel=None)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_precomputed_blocks_are_refused(strategy: str) -> None:
    with pytest.raises(InputError, match=f"strategy {strategy} compares any two rows"):
        choose(np.eye(5), 2, strategy, kernel=Kernel("precomputed"))


def test_tolerance_is_refused_where_it_means_nothing() -> None:
    with pytest.raises(
        InputError, match=r"landmarks.tolerance is 0.1, strategy uniform takes none: use strategy rpchol"
    ):
        choose(np.eye(5), 2, "uniform", tolerance=0.1)
    for wrong in (-1e-9, 1.0, np.nan):
        with pytest.raises(InputError, match="a relative trace error is 0 to 1"):
            choose(np.eye(5), 2, "rpcholesky", tolerance=wrong)


def test_probe_rows_are_a_uniform_sample_whatever_the_chunks(chunked: Callable[..., Any]) -> None:
    X = np.arange(6_000.0).reshape(-1, 2)
    X[7] = np.nan
    probes = [probe_rows(chunked(X, chunk), 5, LocalEngine(1), skip_bad_rows=True) for chunk in (1, 700)]
    np.testing.assert_array_equal(*probes)
    assert probes[0].shape == (1_000, 2)
    assert np.isfinite(probes[0]).all()
    assert abs(probes[0].mean() - 3_000) < 300
    assert probe_rows(ArrayRows(X[:5]), 5, LocalEngine(1)).shape == (5, 2)


@pytest.mark.parametrize("strategy", USES_KERNEL)
def test_select_landmarks_takes_rbf_and_the_median_distance(strategy: str, rng: np.random.Generator) -> None:
    import dask.array as da

    X = rng.normal(size=(500, 3))
    chosen = select_landmarks(X, 8, strategy, random_state=3)
    kernel = resolve_kernel("rbf", probe_rows(ArrayRows(X), 3, LocalEngine(1)))
    direct = choose(X, 8, strategy, seed=3, kernel=kernel)
    same(chosen, direct._replace(note=f"{direct.note}; rbf, gamma {kernel.gamma:.6g}"))
    same(chosen, select_landmarks(da.from_array(X, chunks=(77, 2)), 8, strategy, random_state=3))
    given = select_landmarks(X, 8, strategy, kernel="polynomial", gamma=0.3, degree=2, coef0=2, random_state=3)
    np.testing.assert_array_equal(
        given.indices, choose(X, 8, strategy, seed=3, kernel=Kernel("polynomial", 0.3, 2, 2)).indices
    )


def test_select_landmarks_messages_about_kernels(rng: np.random.Generator) -> None:
    X = rng.normal(size=(60, 3))
    with pytest.raises(InputError, match="strategy greedy chooses by a kernel, got metric='cityblock': give kernel="):
        select_landmarks(X, 3, "greedy", metric="cityblock")
    with pytest.raises(InputError, match="gamma=-1 for kernel rbf"):
        select_landmarks(X, 3, "rpcholesky", gamma=-1)
    few = select_landmarks(X, 50, "rpcholesky", gamma=0.01, tolerance=0.2, random_state=0)
    assert 1 <= len(few.indices) < 50
    by_metric = select_landmarks(X, 3, "active", metric="cosine", random_state=0)
    assert "metric cosine" in by_metric.note
    same(by_metric, choose(X, 3, "active", kernel=None, metric=Metric("cosine")))
    assert "kernel laplacian" in select_landmarks(X, 3, "active", kernel="laplacian", random_state=0).note

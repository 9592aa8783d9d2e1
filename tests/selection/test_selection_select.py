"""What holds for every strategy: invariance, identity, bad rows, progress, messages."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import landmark_ops.selection.strategies.kmeans as kmeans
import landmark_ops.selection.strategies.maxmin as maxmin
from landmark_ops.engine.cluster import ClusterEngine
from landmark_ops.engine.protocol import Engine
from landmark_ops.engine.threads import LocalEngine
from landmark_ops.errors import BadRowsError, InputError
from landmark_ops.numerics.metric import Metric
from landmark_ops.numerics.random_streams import as_seed
from landmark_ops.row_range import RowRange
from landmark_ops.selection.call import select_landmarks
from landmark_ops.selection.geometry import kernel_metric
from landmark_ops.selection.landmarks import Landmarks
from landmark_ops.selection.request import Request
from landmark_ops.selection.selection import select
from landmark_ops.selection.strategy import STRATEGIES
from landmark_ops.stores.sources.rows import ArrayRows

DRAWING = ("uniform", "maxmin", "kmeans")


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(maxmin, "EXACT_ROWS", 100)
    monkeypatch.setattr(maxmin, "block_rows", lambda d: 512)
    monkeypatch.setattr(kmeans, "block_rows", lambda d: 512)


def same(a: Landmarks, b: Landmarks) -> None:
    np.testing.assert_array_equal(a.indices, b.indices)
    np.testing.assert_array_equal(a.points, b.points)
    np.testing.assert_array_equal(a.weights, b.weights)
    assert a.points.dtype == b.points.dtype
    assert a.note == b.note


def sample_rows(kind: str, rng: np.random.Generator) -> NDArray[Any]:
    if kind == "ties":  # equal distances and repeated rows everywhere
        return rng.integers(0, 6, size=(5_000, 4)).astype(np.uint8)
    return (rng.standard_t(4, size=(5_000, 5)) + 3).astype(np.float32)


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("kind", ["floats", "ties"])
@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
@pytest.mark.parametrize("strategy", DRAWING)
def test_landmarks_do_not_depend_on_chunks_workers_or_engine(
    strategy: str,
    metric: str,
    kind: str,
    chunked: Callable[..., Any],
    cluster: ClusterEngine,
    rng: np.random.Generator,
) -> None:
    X = sample_rows(kind, rng)
    X[17] = 0
    engines: list[Engine] = [LocalEngine(1), LocalEngine(2), cluster]
    chosen = [
        select(strategy, Request(chunked(X, chunk), 25, 3, engine, metric=Metric(metric), skip_bad_rows=True))
        for engine, chunk in zip([*engines, *engines], [1, *rng.integers(2, 6_000, 5).tolist()], strict=True)
    ]
    for other in chosen[1:]:
        same(chosen[0], other)
    different = select(strategy, Request(ArrayRows(X), 25, 4, engines[1], metric=Metric(metric), skip_bad_rows=True))
    assert not np.array_equal(different.points, chosen[0].points)


@pytest.mark.parametrize("strategy", DRAWING)
def test_one_block_gives_the_same_landmarks_on_every_engine(
    strategy: str, cluster: ClusterEngine, rng: np.random.Generator
) -> None:
    X = rng.normal(size=(3_000, 64)).astype(np.float32)
    first = select(strategy, Request(ArrayRows(X), 40, 0, LocalEngine(2)))
    same(first, select(strategy, Request(ArrayRows(X), 40, 0, cluster)))


@pytest.mark.parametrize("strategy", DRAWING)
def test_as_many_landmarks_as_rows_are_all_rows(strategy: str, engine: Engine, rng: np.random.Generator) -> None:
    X = rng.normal(size=(70, 3))
    chosen = select(strategy, Request(ArrayRows(X), 70, 1, engine))
    assert sorted(chosen.indices) == list(range(70))
    np.testing.assert_array_equal(chosen.points, X[chosen.indices])
    np.testing.assert_array_equal(chosen.weights, np.ones(70))


@pytest.mark.parametrize("strategy", DRAWING)
def test_one_landmark(strategy: str, engine: Engine, rng: np.random.Generator) -> None:
    X = rng.normal(size=(50, 3))
    chosen = select(strategy, Request(ArrayRows(X), 1, 1, engine))
    assert chosen.points.shape == (1, 3)
    assert chosen.weights.tolist() == [50]
    assert select(strategy, Request(ArrayRows(X[:1]), 1, 1, engine)).indices.tolist() == [0]
    same(
        select(strategy, Request(ArrayRows(np.ones((9, 2))), 1, 1, engine)),
        select(strategy, Request(ArrayRows(np.ones((9, 2))), 1, 1, LocalEngine(1))),
    )


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("strategy", ["maxmin", "kmeans"])
def test_bad_rows_are_refused_or_ignored(strategy: str, engine: Engine, rng: np.random.Generator) -> None:
    X = rng.normal(size=(3_000, 2)).astype(np.float32)
    bad = np.array([700, 701, 2_500])
    X[bad, 1] = np.nan
    with pytest.raises(BadRowsError, match="hold NaN or Inf") as caught:
        select(strategy, Request(ArrayRows(X), 20, 0, LocalEngine(1)))
    assert caught.value.first in (700, 2_500)
    chosen = select(strategy, Request(ArrayRows(X), 20, 0, engine, skip_bad_rows=True))
    assert np.isfinite(chosen.points).all()
    assert not np.isin(chosen.indices, bad).any()
    if strategy == "kmeans":
        assert chosen.weights.sum() == 2_997


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("strategy", ["maxmin", "kmeans"])
def test_a_whole_block_of_bad_rows_is_skipped(strategy: str, engine: Engine, rng: np.random.Generator) -> None:
    X = rng.normal(size=(2_000, 2))
    X[:1_024] = np.nan
    chosen = select(strategy, Request(ArrayRows(X), 5, 0, engine, skip_bad_rows=True))
    assert np.isfinite(chosen.points).all()


@pytest.mark.parametrize("strategy", DRAWING)
def test_only_bad_rows(strategy: str, engine: Engine) -> None:
    X = np.full((40, 2), np.nan)
    with pytest.raises(InputError, match="only 0 usable rows among 40 of 40 looked at"):
        select(strategy, Request(ArrayRows(X), 3, 0, engine, skip_bad_rows=True))


@pytest.mark.parametrize("strategy", DRAWING)
def test_zero_rows_have_no_direction(strategy: str, engine: Engine, rng: np.random.Generator) -> None:
    X = rng.normal(size=(40, 2))
    X[5] = 0
    with pytest.raises(InputError, match=r"1 of 40 rows are zero rows.* under metric cosine.*is row 5"):
        select(strategy, Request(ArrayRows(X), 40 if strategy != "maxmin" else 9, 2, engine, metric=Metric("cosine")))


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("strategy", DRAWING)
def test_progress_goes_through_exactly_what_was_planned(
    strategy: str, engine: Engine, rng: np.random.Generator
) -> None:
    X = rng.normal(size=(2_500, 3))
    plans: list[int] = []
    gone: list[RowRange] = []
    select(strategy, Request(ArrayRows(X), 10, 0, engine, planned=plans.append, done=gone.append))
    assert sum(stop - start for start, stop in gone) == plans[-1]
    assert plans == sorted(plans, reverse=True)


@pytest.mark.parametrize(
    ("count", "strategy", "keywords", "message"),
    [
        (0, "uniform", {}, "landmarks.count is 0, at least 1 is needed"),
        (11, "maxmin", {}, "landmarks.count is 11, <memory> has 10 rows: lower landmarks.count to at most 10"),
        (3, "random", {}, "'random' is unknown: choose one of uniform, maxmin, kmeans, leverage"),
        (3, "uniform", {"seed": -1}, "landmarks.seed is -1"),
        (3, "uniform", {"indices": [1, 2, 3]}, "takes no indices or points: use strategy given"),
    ],
)
def test_mistakes_are_named(count: int, strategy: str, keywords: dict[str, Any], message: str, engine: Engine) -> None:
    with pytest.raises(InputError, match=message):
        select(strategy, Request(ArrayRows(np.eye(10)), count, **{"seed": 0, "engine": engine, **keywords}))


def test_seeds_from_every_kind_of_random_state() -> None:
    assert as_seed(5) == as_seed(np.int64(5)) == 5
    assert as_seed(np.random.RandomState(0)) == as_seed(np.random.RandomState(0))
    assert as_seed(np.random.default_rng(0)) == as_seed(np.random.default_rng(0))
    assert as_seed(None) != as_seed(None)
    with pytest.raises(InputError, match="random_state: got 'x'"):
        as_seed("x")  # type: ignore[arg-type]


@pytest.mark.parametrize("kernel", ["laplacian", "cosine", "rbf"])
def test_select_landmarks_follows_the_kernel(kernel: str, rng: np.random.Generator) -> None:
    X = rng.normal(size=(300, 4))
    by_kernel = select_landmarks(X, 12, "maxmin", kernel=kernel, gamma=0.5, random_state=0)
    metric, _ = kernel_metric(kernel, "euclidean", STRATEGIES["maxmin"])
    same(by_kernel, select_landmarks(X, 12, "maxmin", metric=metric, random_state=0))


def test_select_landmarks_estimates_metric_parameters(rng: np.random.Generator) -> None:
    X = rng.normal(size=(300, 3)) * [1, 10, 100]
    for metric in ("seuclidean", "mahalanobis"):
        scaled = select_landmarks(X, 8, "maxmin", metric=metric, random_state=0)
        plain = select_landmarks((X - X.mean(axis=0)) / X.std(axis=0), 8, "maxmin", random_state=0)
        assert (scaled.indices[0], len(set(scaled.indices))) == (plain.indices[0], 8)
        if metric == "seuclidean":
            np.testing.assert_array_equal(scaled.indices, plain.indices)


@pytest.mark.parametrize("strategy", DRAWING)
def test_select_landmarks_of_a_dask_array_are_those_of_the_array(strategy: str, rng: np.random.Generator) -> None:
    import dask.array as da

    X = rng.normal(size=(300, 3))
    lazy = da.from_array(X, chunks=((7, 200, 93), (1, 2)))
    same(select_landmarks(X, 6, strategy, random_state=1), select_landmarks(lazy, 6, strategy, random_state=1))


def test_select_landmarks_messages(rng: np.random.Generator) -> None:
    X = rng.normal(size=(30, 3))
    with pytest.raises(InputError, match="callable kernel has no known geometry"):
        select_landmarks(X, 3, "maxmin", kernel=lambda A, B: A @ B.T)
    with pytest.raises(InputError, match="only one of them can be used"):
        select_landmarks(X, 3, "maxmin", kernel="rbf", metric="cosine")
    with pytest.raises(InputError, match="kernel 'nope' is unknown"):
        select_landmarks(X, 3, kernel="nope")
    with pytest.raises(InputError, match="metric 'euclid' is unknown"):
        select_landmarks(X, 3, metric="euclid")
    assert "chi2: chosen in Euclidean" in select_landmarks(X, 3, "maxmin", kernel="chi2", random_state=0).note
    chosen = select_landmarks(X, 2, "given", points=np.zeros((2, 3)))
    assert chosen.indices.tolist() == [-1, -1]

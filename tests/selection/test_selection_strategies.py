"""Each strategy against a plain NumPy or scikit-learn oracle, and its degenerate cases."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.spatial.distance import cdist
from sklearn.cluster import KMeans
from sklearn.datasets import make_blobs

import landmark_ops.selection.covers as covers
import landmark_ops.selection.draws as draws
import landmark_ops.selection.strategies.maxmin as maxmin
from landmark_ops.engine.protocol import Engine
from landmark_ops.errors import BadRowsError, InputError
from landmark_ops.numerics.distances import transform_rows
from landmark_ops.numerics.metric import Metric
from landmark_ops.selection.covers import farthest_first
from landmark_ops.selection.landmarks import Landmarks
from landmark_ops.selection.request import Request
from landmark_ops.selection.selection import select
from landmark_ops.stores.sources.rows import ArrayRows


def farthest_first_oracle(X: NDArray[Any], start: int, m: int, metric: str) -> list[int]:
    D = cdist(X, X, metric)
    chosen = [start]
    while len(chosen) < m:
        chosen.append(int(D[:, chosen].min(axis=1).argmax()))
    return chosen


def radius(X: NDArray[Any], Z: NDArray[Any]) -> float:
    return float(cdist(X, Z).min(axis=1).max())


def choose(X: NDArray[Any], m: int, strategy: str, engine: Engine, **keywords: Any) -> Landmarks:
    return select(strategy, Request(ArrayRows(X), m, **{"seed": 0, "engine": engine, **keywords}))


# uniform


def test_uniform_rows_are_distinct_and_as_stored(engine: Engine, rng: np.random.Generator) -> None:
    X = rng.integers(0, 255, size=(5_000, 3)).astype(np.uint8)
    chosen = choose(X, 100, "uniform", engine)
    assert len(set(chosen.indices.tolist())) == 100
    assert chosen.points.dtype == np.uint8
    np.testing.assert_array_equal(chosen.points, X[chosen.indices])
    assert (chosen.weights == 50).all()
    assert chosen.note == "uniform: 100 of 5000 rows without replacement"


def test_uniform_draws_every_row_equally_often(engine: Engine) -> None:
    X = np.zeros((50, 1))
    times = np.zeros(50)
    for seed in range(300):
        times[choose(X, 10, "uniform", engine, seed=seed).indices] += 1
    assert abs(times.mean() - 60) < 1e-9
    assert ((times - 60) ** 2 / 48).sum() < 90  # chi-squared, 49 degrees of freedom: p < 4e-4 above


def test_uniform_replaces_bad_rows_by_the_next_of_the_same_order(engine: Engine, rng: np.random.Generator) -> None:
    X = rng.normal(size=(1_000, 2))
    order = draws.first_draw(1_000, 20, 0)
    X[order[[3, 8, 21]], 1] = np.nan
    chosen = choose(X, 20, "uniform", engine, skip_bad_rows=True)
    assert chosen.indices.tolist() == np.delete(order, [3, 8, 21])[:20].tolist()
    with pytest.raises(BadRowsError, match=f"drawn as landmarks: 2 of 20 rows.*first is row {order[[3, 8]].min()}:"):
        choose(X, 20, "uniform", engine)


def test_uniform_looks_further_when_most_rows_are_bad(
    engine: Engine, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    X = np.full((3_000, 2), np.inf)
    fine = rng.choice(3_000, 12, replace=False)
    X[fine] = 1.0
    chosen = choose(X, 12, "uniform", engine, skip_bad_rows=True)
    assert sorted(chosen.indices) == sorted(fine)
    with pytest.raises(InputError, match=r"only 12 usable rows among 3000 of 3000 looked at, landmarks.count is 13"):
        choose(X, 13, "uniform", engine, skip_bad_rows=True)
    monkeypatch.setattr(draws, "MOST_DRAWN", 300)
    with pytest.raises(InputError, match=r"only \d usable rows among \d{3} of 3000 looked at"):
        choose(X, 13, "uniform", engine, skip_bad_rows=True)


# maxmin


@pytest.mark.parametrize("metric", ["euclidean", "cityblock", "chebyshev", "cosine", "correlation"])
@pytest.mark.parametrize("front", [5, 1 << 10])
def test_exact_maxmin_is_farthest_first(
    metric: str, front: int, engine: Engine, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(covers, "FRONT_ROWS", front)
    X = rng.normal(size=(400, 6)) + 1
    chosen = choose(X, 40, "maxmin", engine, metric=Metric(metric))
    assert chosen.indices.tolist() == farthest_first_oracle(X, int(chosen.indices[0]), 40, metric)
    np.testing.assert_array_equal(chosen.points, X[chosen.indices])
    assert "exact farthest-first" in chosen.note
    assert "at most 2 times the best possible (Gonzalez 1985)" in chosen.note
    if metric == "euclidean":
        assert f"within {radius(X, chosen.points):.6g} of" in chosen.note


@pytest.mark.parametrize("front", [7, 1 << 10])
def test_exact_maxmin_breaks_ties_by_the_lowest_index(
    front: int, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(covers, "FRONT_ROWS", front)
    X = rng.integers(0, 4, size=(500, 3)).astype(np.float32)
    picks, left = farthest_first(X, X[0], 63, Metric("euclidean"))
    assert [0, *picks.tolist()] == farthest_first_oracle(X, 0, 64, "sqeuclidean")
    assert left == 0


@pytest.mark.parametrize("spread", ["normal", "heavy"])
def test_core_set_is_near_the_exact_radius(
    spread: str, engine: Engine, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    X = rng.normal(size=(20_000, 8)) if spread == "normal" else rng.standard_t(3, size=(20_000, 8))
    exact = choose(X, 50, "maxmin", engine)
    monkeypatch.setattr(maxmin, "EXACT_ROWS", 100)
    monkeypatch.setattr(maxmin, "block_rows", lambda d: 1_024)
    flat = choose(X, 50, "maxmin", engine)
    monkeypatch.setattr(covers, "BLOCK_ELEMENTS", 60 * 8)
    deep = choose(X, 50, "maxmin", engine)
    assert "core-set of 20 blocks, 2 levels" in flat.note
    assert "at most 4 times" in flat.note
    assert "core-set of 20 blocks, 3 levels" in deep.note
    assert "at most 6 times" in deep.note
    for chosen in (flat, deep):
        assert chosen.indices[0] == exact.indices[0]
        assert radius(X, chosen.points) <= 3 * radius(X, exact.points)
        np.testing.assert_array_equal(chosen.points, X[chosen.indices])
        promised = float(chosen.note.split("within ")[1].split(" of")[0])
        assert radius(X, chosen.points) <= promised * (1 + 1e-5)


def test_maxmin_without_enough_distinct_rows(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    X = np.repeat(np.arange(7.0), 300)[:, None] + 1e6
    assert len(set(choose(X, 7, "maxmin", engine).points[:, 0])) == 7
    with pytest.raises(InputError, match=r"only 7 distinct rows under metric euclidean, landmarks.count is 8: lower"):
        choose(X, 8, "maxmin", engine)
    monkeypatch.setattr(maxmin, "EXACT_ROWS", 100)
    monkeypatch.setattr(maxmin, "block_rows", lambda d: 128)
    assert len(set(choose(X, 7, "maxmin", engine).points[:, 0])) == 7
    with pytest.raises(InputError, match="only 7 distinct rows"):
        choose(X, 8, "maxmin", engine)


def test_maxmin_with_a_callable_metric_promises_nothing(engine: Engine, rng: np.random.Generator) -> None:
    X = rng.normal(size=(60, 2))
    metric = Metric("callable", {}, lambda A, B: cdist(A, B, "cityblock"), True)
    chosen = choose(X, 9, "maxmin", engine, metric=metric)
    assert chosen.indices.tolist() == farthest_first_oracle(X, int(chosen.indices[0]), 9, "cityblock")
    assert chosen.note.endswith("metric callable may break the triangle inequality: no guarantee")


# kmeans


def inertia(X: NDArray[Any], Z: NDArray[Any]) -> float:
    return float(cdist(X, Z, "sqeuclidean").min(axis=1).sum())


def test_kmeans_is_as_good_as_scikit_learn(engine: Engine) -> None:
    X, _ = make_blobs(6_000, 10, centers=60, cluster_std=2.0, random_state=3)
    chosen = choose(X, 60, "kmeans", engine)
    reference = KMeans(60, n_init=1, random_state=0).fit(X)
    assert inertia(X, chosen.points) <= 1.05 * reference.inertia_
    assert chosen.weights.sum() == 6_000
    assert (chosen.indices == -1).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_kmeans_recovers_separate_blobs(dtype: type, engine: Engine) -> None:
    X, _, centres = make_blobs(4_000, 6, centers=8, cluster_std=0.3, random_state=1, return_centers=True)
    chosen = choose(X.astype(dtype), 8, "kmeans", engine)
    assert chosen.points.dtype == dtype
    assert cdist(centres, chosen.points).min(axis=1).max() < 0.1
    assert (chosen.weights == 500).all()
    assert "k-means|| start of " in chosen.note


def test_kmeans_centres_are_the_means_of_their_cells(engine: Engine, rng: np.random.Generator) -> None:
    X = rng.normal(size=(3, 400, 2)).reshape(-1, 2) * 0.01 + np.repeat(np.eye(3)[:, :2] * 9, 400, axis=0)
    chosen = choose(X, 3, "kmeans", engine)
    cell = cdist(X, chosen.points).argmin(axis=1)
    means = np.array([X[cell == j].mean(axis=0) for j in range(3)])
    np.testing.assert_allclose(chosen.points, means, rtol=1e-12)
    assert "2 Lloyd iterations" in chosen.note


@pytest.mark.parametrize("name", ["cosine", "correlation"])
def test_kmeans_of_directions_ignores_lengths(name: str, engine: Engine, rng: np.random.Generator) -> None:
    X = rng.normal(size=(500, 5))
    metric = Metric(name)
    chosen = choose(X, 10, "kmeans", engine, metric=metric)
    longer = choose(X * 2.0 ** rng.integers(-9, 9, size=(500, 1)), 10, "kmeans", engine, metric=metric)
    np.testing.assert_allclose(chosen.points, longer.points, atol=1e-12)
    assert np.linalg.norm(chosen.points, axis=1).max() <= 1
    assert "scaled to unit length" in chosen.note
    T = transform_rows(X, metric.transform or "none")
    assert inertia(T, chosen.points) <= 1.1 * KMeans(10, n_init=1, random_state=0).fit(T).inertia_


def test_kmeans_of_few_distinct_rows_starts_farthest_first(engine: Engine) -> None:
    X = np.repeat(np.arange(30.0), 40)[:, None]
    chosen = choose(X, 30, "kmeans", engine)
    np.testing.assert_array_equal(np.sort(chosen.points[:, 0]), np.arange(30.0))
    assert (chosen.weights == 40).all()
    with pytest.raises(InputError, match="only 30 distinct rows"):
        choose(X, 31, "kmeans", engine)


def test_kmeans_reports_empty_cells(engine: Engine) -> None:
    from landmark_ops.selection.lloyd import lloyd
    from landmark_ops.selection.request import Request

    X = np.array([[0.0], [1.0], [2.0], [50.0]])
    ask = Request(ArrayRows(X), 3, 0, engine)
    far = np.array([[0.0], [1e3], [40.0]])
    centres, cells, _ = lloyd(ask, far, Metric("euclidean"), [(0, 2), (2, 4)])
    assert cells.sizes.tolist() == [3, 0, 1]
    assert centres.tolist() == [[1.0], [1e3], [50.0]]


OWN = lambda x, z: float(abs(x - z).sum())  # noqa: E731


@pytest.mark.parametrize("name", ["hamming", "jaccard", "haversine", "callable", "nan_euclidean"])
def test_kmeans_refuses_metrics_without_means(name: str, engine: Engine) -> None:
    with pytest.raises(InputError, match=f"metric {name} has no meaningful mean.*uniform or maxmin"):
        choose(np.eye(2), 2, "kmeans", engine, metric=Metric(name, fn=OWN if name == "callable" else None))


def test_kmeans_under_other_metrics_says_that_centres_are_euclidean(engine: Engine, rng: np.random.Generator) -> None:
    X = rng.normal(size=(200, 2))
    chosen = choose(X, 5, "kmeans", engine, metric=Metric("cityblock"))
    np.testing.assert_array_equal(chosen.points, choose(X, 5, "kmeans", engine).points)
    assert chosen.note.endswith("Euclidean centres, used with metric cityblock")


# given


def test_given_indices_and_points(engine: Engine) -> None:
    X = np.arange(20, dtype=np.int16).reshape(10, 2)
    rows = choose(X, 3, "given", engine, indices=[7, 0, 3])
    assert rows.indices.tolist() == [7, 0, 3]
    np.testing.assert_array_equal(rows.points, X[[7, 0, 3]])
    points = choose(X, 1, "given", engine, points=np.array([[1, 2]], np.float32))
    assert points.indices.tolist() == [-1]
    assert points.points.dtype == np.float32
    assert choose(X, 1, "given", engine, points=[[1, 2]]).points.dtype == np.float64


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({}, "takes indices or points, got neither"),
        ({"indices": [1], "points": [[1.0, 2.0]]}, "got both"),
        ({"indices": [0.5, 1]}, "needs a list of integers"),
        ({"indices": [True, False]}, "of bool, needs a list of integers"),
        ({"indices": [0, 10]}, "10 outside 0 to 9"),
        ({"indices": [-1, -2, -3, 99, 100]}, "-1, -2, -3 and 2 more outside"),
        ({"indices": [4, 4, 5]}, "4 given more than once"),
        ({"indices": [4, 5, 6]}, "3 landmarks given, landmarks.count is 2"),
        ({"indices": [1, 2]}, "given as landmarks: 1 of 2 rows hold NaN or Inf, the first is row 2"),
        ({"points": [[1.0], [2.0]]}, r"got shape \(2, 1\) of float64, needs numbers of shape \(m, 2\)"),
        ({"points": [[1.0, np.nan], [2.0, 1.0]]}, "points given as landmarks: 1 of 2 rows hold NaN"),
        ({"points": [["a", "b"]]}, "needs numbers of shape"),
    ],
)
def test_given_mistakes_are_named(keywords: dict[str, Any], message: str, engine: Engine) -> None:
    X = np.ones((10, 2))
    X[2] = np.nan
    with pytest.raises(InputError, match=message):
        choose(X, 2, "given", engine, skip_bad_rows=True, **keywords)

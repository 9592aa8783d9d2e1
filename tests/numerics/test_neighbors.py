"""Nearest neighbours: against scikit-learn, ties and duplicates by lowest index, the same answer in any batch."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from scipy.spatial.distance import cdist
from sklearn.neighbors import NearestNeighbors

from landmark_ops.errors import BadRowsError, InputError
from landmark_ops.neighbors.recall import probe_recall
from landmark_ops.numerics.exact_index import ExactIndex, knn
from landmark_ops.numerics.frame import Frame
from landmark_ops.numerics.metric import Metric, dists, resolve_metric
from landmark_ops.numerics.neighbor_lists import IvfIndex
from landmark_ops.numerics.neighbors import without

EUCLIDEAN = Metric("euclidean")


def ranked(distances, count):
    """The `count` smallest of each row, ties by lowest column."""
    order = np.argsort(distances, axis=1, kind="stable")[:, :count]
    return order, np.take_along_axis(distances, order, axis=1)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("offset", [0, 1e4])
def test_exact_agrees_with_scikit_learn(rng, dtype, offset):
    support = (rng.standard_normal((700, 12)) + offset).astype(dtype)
    queries = (rng.standard_normal((90, 12)) + offset).astype(dtype)
    oracle = NearestNeighbors(n_neighbors=7, algorithm="kd_tree").fit(support.astype(np.float64))
    expected, order = oracle.kneighbors(queries.astype(np.float64))
    found = knn(queries, support, 7, EUCLIDEAN)
    np.testing.assert_array_equal(found.indices, order)
    np.testing.assert_allclose(found.distances, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("metric", ["cosine", "correlation", "cityblock", "chebyshev", "canberra", "mahalanobis"])
def test_every_metric_agrees_with_its_distances(rng, metric):
    support, queries = rng.standard_normal((300, 6)), rng.standard_normal((40, 6))
    resolved = resolve_metric(metric, None, support)
    order, expected = ranked(dists(queries, support, resolved), 5)
    found = knn(queries, support, 5, resolved)
    np.testing.assert_array_equal(found.indices, order)
    np.testing.assert_allclose(found.distances, expected, rtol=1e-7)


def test_callable_metric(rng):
    support = rng.standard_normal((60, 3))
    metric = resolve_metric(lambda u, v: float(np.abs(u - v).max()), None, support)
    found = knn(support[:9], support, 4, metric)
    np.testing.assert_array_equal(found.indices, ranked(cdist(support[:9], support, "chebyshev"), 4)[0])


@pytest.mark.parametrize("metric", ["euclidean", "cityblock"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_ties_go_to_the_lowest_index(rng, metric, dtype):
    """A grid of integers is full of ties, more of them than the search's spare candidates."""
    support = rng.integers(0, 3, (600, 3)).astype(dtype)
    order, expected = ranked(cdist(support, support, metric), 20)
    found = knn(support, support, 20, Metric(metric))
    np.testing.assert_array_equal(found.indices, order)
    np.testing.assert_allclose(found.distances, expected, rtol=1e-12)


def test_rows_too_close_for_float32_are_told_apart(rng):
    """Float32 candidates cannot rank rows 1e-9 apart at distance 1 from the mean: they are redone in float64."""
    near = np.array([1.0, 0.0]) + 1e-9 * rng.standard_normal((40, 2))
    support = np.concatenate([near, -near])
    order, expected = ranked(np.linalg.norm(support[:, None] - support[None], axis=2), 5)
    found = knn(support, support, 5, EUCLIDEAN)
    np.testing.assert_array_equal(found.indices, order)
    np.testing.assert_allclose(found.distances, expected, rtol=1e-9)


@pytest.mark.parametrize("scale", [1e-30, 1e30])
def test_rows_beyond_the_range_of_float32_squares(rng, scale):
    support = rng.standard_normal((200, 4))
    found, scaled = knn(support, support, 5, EUCLIDEAN), knn(support * scale, support * scale, 5, EUCLIDEAN)
    np.testing.assert_array_equal(scaled.indices, found.indices)
    np.testing.assert_allclose(scaled.distances, found.distances * scale, rtol=1e-12)


def test_self_is_excluded_among_duplicates(rng):
    """Thirty copies of one row: each finds the first ones but itself, in order."""
    support = rng.standard_normal((100, 5))
    support[40:70] = support[40]
    found = knn(support, support, 6, EUCLIDEAN, exclude=np.arange(100))
    assert not (found.indices == np.arange(100)[:, None]).any()
    np.testing.assert_array_equal(found.indices[42], [40, 41, 43, 44, 45, 46])
    np.testing.assert_array_equal(found.indices[69], [40, 41, 42, 43, 44, 45])
    assert (found.distances[40:70] == 0).all()
    oracle = cdist(support, support)
    np.fill_diagonal(oracle, np.inf)
    np.testing.assert_array_equal(found.indices, ranked(oracle, 6)[0])


def test_any_batch_gives_the_same_bits(rng):
    support = rng.standard_normal((500, 33)).astype(np.float32)
    index = ExactIndex(support, EUCLIDEAN)
    whole = knn(support, None, 8, EUCLIDEAN, index=index)
    for step in (1, 7, 64):
        parts = [knn(support[at : at + step], None, 8, EUCLIDEAN, index=index) for at in range(0, 500, step)]
        np.testing.assert_array_equal(np.concatenate([part.indices for part in parts]), whole.indices)
        np.testing.assert_array_equal(np.concatenate([part.distances for part in parts]), whole.distances)


def test_no_queries_and_one_query(rng):
    support = rng.standard_normal((20, 3))
    assert knn(support[:0], support, 4, EUCLIDEAN).indices.shape == (0, 4)
    assert knn(support[:1], support, 20, EUCLIDEAN).indices.shape == (1, 20)


def test_fewer_rows_than_neighbours():
    rows = np.eye(5)
    with pytest.raises(InputError, match=r"n_neighbors=5 needs at least 6 rows .*there are 5: lower n_neighbors to 4"):
        knn(rows, rows, 5, EUCLIDEAN, exclude=np.arange(5))
    with pytest.raises(InputError, match="n_neighbors=6 needs at least 6 rows, there are 5"):
        knn(rows, rows, 6, EUCLIDEAN)
    with pytest.raises(InputError, match="n_neighbors=0: at least 1"):
        knn(rows, rows, 0, EUCLIDEAN)


def test_bad_rows_are_refused():
    rows = np.ones((6, 2)) * np.arange(1, 7)[:, None]
    broken = rows.copy()
    broken[3, 1] = np.nan
    with pytest.raises(BadRowsError, match="queries: 1 of 6 rows hold NaN or Inf, the first is row 3"):
        knn(broken, rows, 2, EUCLIDEAN)
    with pytest.raises(BadRowsError, match="support: 1 of 6 rows"):
        knn(rows, broken, 2, EUCLIDEAN)
    rows[2] = 0
    with pytest.raises(
        InputError, match="1 of 6 rows have no direction, cosine is undefined on them, the first is row 2"
    ):
        knn(rows, rows, 2, Metric("cosine"))


def filled(X, lists=16, metric=EUCLIDEAN):
    index = IvfIndex.train(X[::2], metric, lists, 0)
    for at in range(0, len(X), 333):
        low = index.lower(X[at : at + 333])
        index.add(low, index.assign(low))
    return index


def test_lists_searched_whole_agree_with_the_exact_search(rng):
    X = rng.standard_normal((1500, 16)).astype(np.float32) + 50
    index = filled(X)
    index.probes = index.lists
    own = np.arange(1500)
    found = knn(X, None, 5, EUCLIDEAN, index=index, exclude=own)
    exact = knn(X, X, 5, EUCLIDEAN, exclude=own)
    np.testing.assert_array_equal(found.indices, exact.indices)
    np.testing.assert_allclose(found.distances, exact.distances, rtol=2e-5)


def test_lists_in_order_hold_every_row_once(rng):
    X = rng.standard_normal((1000, 8)).astype(np.float32)
    index = filled(X)
    parts = [index.listed(start, start + 77) for start in range(0, 1000, 77)]
    ids, rows = (np.concatenate(each)[:1000] for each in zip(*parts, strict=True))
    np.testing.assert_array_equal(np.sort(ids), np.arange(1000))
    np.testing.assert_array_equal(rows, index.lower(X[ids]))
    assert (np.diff(index.assign(rows)) >= 0).all()


def test_few_rows_in_the_probed_lists_are_made_up_for(rng):
    """A query alone in its list still gets all its neighbours."""
    X = np.concatenate([rng.standard_normal((200, 4)), [[90.0, 0, 0, 0]]]).astype(np.float32)
    index = filled(X, lists=20)
    found = index.search_low(index.lower(X[200:]), 30, 1)
    assert (found.indices >= 0).all()
    assert np.isfinite(found.distances).all()


def test_recall_grows_with_the_probes(rng):
    X = rng.standard_normal((2000, 24)).astype(np.float32)
    index = filled(X, lists=32)
    own, low = index.listed(500, 600)
    shares = probe_recall(index, low, own, 10, (1, 4, 32, 32, 32)).mean(axis=0)
    assert shares[0] < shares[1] < shares[2] == 1
    np.testing.assert_array_equal(shares[2:], 1)
    exact = knn(X[own], X, 10, EUCLIDEAN, exclude=own)
    for probes, share in zip((1, 4), shares, strict=False):
        found = without(index.search_low(low, 11, probes), own)
        hits = [len(set(a) & set(b)) / 10 for a, b in zip(found.indices, exact.indices, strict=True)]
        assert np.mean(hits) == pytest.approx(share, abs=1e-3)


@pytest.mark.parametrize("how", ["pickle", "file", "bytes"])
def test_an_index_sent_elsewhere_answers_the_same(rng, tmp_path, how):
    X = rng.standard_normal((800, 8))
    index = filled(X, metric=Metric("cosine"))
    if how == "pickle":
        other = pickle.loads(pickle.dumps(index))
    elif how == "file":
        index.save(str(tmp_path / "lists"))
        other = index.emptied().over(IvfIndex.map_lists(str(tmp_path / "lists")))
    else:
        other = index.emptied().over(IvfIndex.load_lists(index.to_bytes()))
    for here, there in zip(index.search(X[:50], 6), other.search(X[:50], 6), strict=True):
        np.testing.assert_array_equal(here, there)
    np.testing.assert_array_equal(index.listed(10, 90)[0], other.listed(10, 90)[0])


def test_rows_near_the_origin_are_stored_unrounded(rng):
    X = rng.standard_normal((50, 3)).astype(np.float32)
    frame = Frame.of(X, always_center=False)
    np.testing.assert_array_equal(frame.lower(X) / np.float32(frame.scale), X)
    assert not frame.center.any()
    assert Frame.of(X + 100, always_center=False).center.all()
    assert Frame.of(np.zeros((4, 2)), always_center=True).scale == 1

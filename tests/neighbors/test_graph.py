"""The neighbour graph over rows: the same whatever the chunks and workers, exact as scikit-learn, recall stated."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.neighbors import kneighbors_graph

from landmark_ops.engine.threads import LocalEngine
from landmark_ops.errors import BadRowsError, InputError
from landmark_ops.neighbors import exact_search, list_search, lists, support
from landmark_ops.neighbors.lists import list_count
from landmark_ops.numerics.metric import Metric
from landmark_ops.stores.sources.rows import ArrayRows
from tests.neighbors.graphs import graph_by
from tests.rows import ChunkedRows

EUCLIDEAN = Metric("euclidean")


def neighbor_graph(*arguments, exact=True, **options):
    return graph_by(exact, *arguments, **options)


def clustered(rng, n, d=8):
    """Rows around a few curved lines, as images are: low intrinsic dimension."""
    t = rng.random((n, 2))
    basis = rng.standard_normal((4, d))
    return (np.column_stack([np.sin(6 * t), np.cos(4 * t)]) @ basis + 0.02 * rng.standard_normal((n, d))).astype("f4")


def same(one, other):
    for part in ("data", "indices", "indptr"):
        np.testing.assert_array_equal(getattr(one.matrix, part), getattr(other.matrix, part))
    assert one.note == other.note
    assert one.recall == other.recall


@pytest.fixture
def small_tasks(monkeypatch):
    """Several tasks for few rows."""
    monkeypatch.setattr(list_search, "SEARCH_TASK", 300)
    monkeypatch.setattr(exact_search, "EXACT_TASK", 130)
    monkeypatch.setattr(support, "block_step", lambda d: 190)
    monkeypatch.setattr(lists, "block_step", lambda d: 190)


def test_the_exact_graph_is_that_of_scikit_learn(rng):
    X = rng.standard_normal((400, 5))
    graph = neighbor_graph(ArrayRows(X), None, 6, EUCLIDEAN, LocalEngine(2))
    directed = kneighbors_graph(X, 6, mode="distance").toarray()
    np.testing.assert_allclose(graph.matrix.toarray(), np.maximum(directed, directed.T), rtol=1e-12)
    assert graph.recall is None
    assert graph.note == f"graph of 400 rows and 6 neighbours, {graph.matrix.nnz // 2} edges: exact"
    np.testing.assert_array_equal(graph.points, X)


@pytest.mark.parametrize("exact", [True, False])
@pytest.mark.usefixtures("small_tasks")
def test_chunks_and_workers_do_not_change_the_graph(rng, tmp_path, exact):
    X = clustered(rng, 1500)
    X[200:240] = X[200]
    first = neighbor_graph(ArrayRows(X), None, 7, EUCLIDEAN, LocalEngine(1), exact=exact)
    for chunk, workers in ((1, 2), (64, 3), (1500, 5), (7, 1)):
        again = neighbor_graph(ChunkedRows(X, chunk), None, 7, EUCLIDEAN, LocalEngine(workers), exact=exact)
        same(first, again)
    scratch = str(tmp_path / "scratch")
    same(first, neighbor_graph(ArrayRows(X), None, 7, EUCLIDEAN, LocalEngine(2), exact=exact, scratch_uri=scratch))
    assert list(tmp_path.rglob("neighbors*")) == []


@pytest.mark.parametrize("exact", [True, False])
@pytest.mark.usefixtures("small_tasks")
def test_a_sample_of_rows_is_a_graph_of_its_own(rng, exact):
    X = clustered(rng, 3000)
    drawn = np.sort(rng.choice(3000, 1200, replace=False))
    sampled = neighbor_graph(ChunkedRows(X, 100), drawn, 5, EUCLIDEAN, LocalEngine(2), exact=exact)
    alone = neighbor_graph(ArrayRows(X[drawn]), None, 5, EUCLIDEAN, LocalEngine(2), exact=exact)
    same(sampled, alone)
    np.testing.assert_array_equal(sampled.support_indices, drawn)


def test_recall_is_measured_and_true(rng):
    X = clustered(rng, 4000)
    engine = LocalEngine(2)
    approximate = neighbor_graph(ArrayRows(X), None, 10, EUCLIDEAN, engine, exact=False, seed=3)
    exact = neighbor_graph(ArrayRows(X), None, 10, EUCLIDEAN, engine, exact=True)
    mine, true = ({*zip(*g.matrix.nonzero(), strict=True)} for g in (approximate, exact))
    recall = len(mine & true) / len(true)
    assert approximate.recall.value > 0.95
    assert abs(approximate.recall.value - recall) < 4 * approximate.recall.standard_error + 0.01
    assert f"recall {approximate.recall.value:.3f} ± " in approximate.note
    shared = approximate.matrix.toarray()[exact.matrix.nonzero()]
    truth = exact.matrix.toarray()[exact.matrix.nonzero()]
    np.testing.assert_allclose(shared[shared > 0], truth[shared > 0], rtol=1e-5)


@pytest.mark.usefixtures("small_tasks")
def test_progress_adds_up_to_the_support(rng):
    X = clustered(rng, 1000)
    for exact in (True, False):
        told: list[tuple[int, int]] = []
        neighbor_graph(ArrayRows(X), None, 5, EUCLIDEAN, LocalEngine(2), exact=exact, done=told.append)
        assert sum(stop - start for start, stop in told) == 1000


def test_cosine_is_searched_on_unit_rows(rng):
    X = clustered(rng, 900)
    scaled = X * rng.uniform(0.5, 2, (900, 1)).astype("f4")
    one, other = (
        neighbor_graph(ArrayRows(rows), None, 4, Metric("cosine"), LocalEngine(2), exact=False) for rows in (X, scaled)
    )
    assert one.recall.value > 0.95
    assert abs(one.matrix.nnz - other.matrix.nnz) < 40


def test_other_metrics_are_exact(rng):
    X = rng.standard_normal((300, 4))
    graph = neighbor_graph(ArrayRows(X), None, 5, Metric("cityblock"), LocalEngine(2), exact=False)  # of any size
    directed = kneighbors_graph(X, 5, mode="distance", metric="manhattan").toarray()
    np.testing.assert_allclose(graph.matrix.toarray(), np.maximum(directed, directed.T))
    with pytest.raises(InputError, match="metric precomputed"):
        neighbor_graph(ArrayRows(X), None, 5, Metric("precomputed"), LocalEngine(2))


def test_fewer_rows_than_neighbours():
    with pytest.raises(InputError, match=r"n_neighbors=10 needs at least 11 rows .*lower n_neighbors to 3"):
        neighbor_graph(ArrayRows(np.eye(4)), None, 10, EUCLIDEAN, LocalEngine(1))


@pytest.mark.parametrize("exact", [True, False])
def test_a_bad_row_is_named_by_its_number_in_the_source(rng, exact):
    X = rng.standard_normal((500, 3)).astype("f4")
    X[321, 1] = np.nan
    indices = np.arange(1, 500, 2)
    with pytest.raises(BadRowsError, match=r"support: 1 of .* rows hold NaN or Inf, the first is row 321"):
        neighbor_graph(ArrayRows(X), indices, 3, EUCLIDEAN, LocalEngine(2), exact=exact)


def test_bad_rows_are_counted_whether_or_not_lists_were_trained_on_them(rng, monkeypatch):
    monkeypatch.setattr(lists, "ROWS_PER_LIST", 1)
    X = rng.standard_normal((2000, 3)).astype("f4")
    X[500:900] = np.inf
    with pytest.raises(BadRowsError, match="400 of 2000 rows hold NaN or Inf, the first is row 500"):
        neighbor_graph(ArrayRows(X), None, 3, EUCLIDEAN, LocalEngine(2), exact=False, seed=1)
    with pytest.raises(BadRowsError, match="rows hold NaN or Inf, the first is row"):
        neighbor_graph(ArrayRows(X * np.inf), None, 3, EUCLIDEAN, LocalEngine(2), exact=False)


def test_supports_that_cannot_be(monkeypatch):
    rows = ArrayRows(np.eye(6))
    for wrong in ([3, 2], [1, 1], [0, 6], [-1, 2]):
        with pytest.raises(ValueError, match=r"must ascend without repeats within rows 0\.\.6"):
            neighbor_graph(rows, np.array(wrong), 1, EUCLIDEAN, LocalEngine(1))
    monkeypatch.setattr(support, "MAX_SUPPORT", 5)
    with pytest.raises(InputError, match="6 rows, a neighbour graph takes 5 at most: give a sample"):
        neighbor_graph(rows, None, 1, EUCLIDEAN, LocalEngine(1))


def test_all_rows_the_same():
    """Every list but one is empty, every distance zero."""
    graph = neighbor_graph(ArrayRows(np.ones((300, 4), "f4")), None, 5, EUCLIDEAN, LocalEngine(2), exact=False)
    assert (graph.matrix.data == 0).all()
    assert graph.recall.value == 1
    assert (np.diff(graph.matrix.indptr) >= 5).all()


def test_two_rows():
    for exact in (True, False):
        graph = neighbor_graph(ArrayRows(np.array([[0.0, 0], [3, 4]])), None, 1, EUCLIDEAN, LocalEngine(1), exact=exact)
        np.testing.assert_array_equal(graph.matrix.toarray(), [[0, 5], [5, 0]])


def test_lists_grow_with_the_root_of_the_rows():
    assert [list_count(s) for s in (1, 20_000, 131_072, 531_720, 1_000_000)] == [2, 512, 1024, 2048, 2048]

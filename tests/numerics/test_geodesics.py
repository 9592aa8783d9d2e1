"""Graphs and shortest paths: against SciPy's dense search and scikit-learn's Isomap, degenerate graphs by name."""

from __future__ import annotations

import json

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.sparse.csgraph import shortest_path
from scipy.spatial.distance import cdist
from sklearn.datasets import make_swiss_roll
from sklearn.manifold import Isomap

from landmark_ops.errors import InputError
from landmark_ops.numerics.components import (
    check_policy,
    components_of,
    nearest_outside,
    refuse_components,
    shortest_links,
)
from landmark_ops.numerics.edges import Edges, edges_of, graph_of, symmetric_graph, with_edges
from landmark_ops.numerics.exact_index import knn
from landmark_ops.numerics.geodesic_block import Geodesic
from landmark_ops.numerics.geodesics import geodesics_from
from landmark_ops.numerics.metric import Metric, resolve_metric

EUCLIDEAN = Metric("euclidean")


def graph_over(X, k):
    found = knn(X, X, k, EUCLIDEAN, exclude=np.arange(len(X)))
    return symmetric_graph(found.indices, found.distances)


def dense_geodesics(graph):
    """Floyd-Warshall on a dense matrix that says what is no edge."""
    full = np.full(graph.shape, np.inf)
    edges = edges_of(graph)
    full[edges.first, edges.second] = full[edges.second, edges.first] = edges.lengths
    np.fill_diagonal(full, 0)
    for middle in range(len(full)):
        np.minimum(full, full[:, middle, None] + full[None, middle], out=full)
    return full


def test_geodesics_agree_with_isomap():
    X, _ = make_swiss_roll(400, random_state=0)
    expected = Isomap(n_neighbors=8).fit(X).dist_matrix_
    found = geodesics_from(graph_over(X, 8), np.arange(0, 400, 40))
    np.testing.assert_allclose(found, expected[::40], rtol=1e-10)


def test_geodesics_agree_with_dense_search(rng):
    graph = graph_over(rng.standard_normal((150, 3)), 6)
    np.testing.assert_allclose(
        geodesics_from(graph, np.arange(150)), shortest_path(graph.toarray(), directed=False), rtol=1e-12
    )


def test_edges_between_duplicates_have_length_zero(rng):
    """SciPy's dense graphs and sparse sums take a zero for no edge; here it is one."""
    X = rng.standard_normal((60, 2))
    X[10:20] = X[10]
    graph = graph_over(X, 4)
    assert (graph.data == 0).sum() > 0
    assert (graph.indices[graph.indptr[15] : graph.indptr[16]] == 10).any()
    found = geodesics_from(graph, np.arange(60))
    np.testing.assert_allclose(found, dense_geodesics(graph), rtol=1e-12)
    assert (found[10:20, 10:20] == 0).all()
    added = with_edges(graph, Edges(np.array([0]), np.array([1]), np.array([0.0])))
    assert geodesics_from(added, np.array([0]))[0, 1] == 0
    assert (added.data == 0).sum() >= (graph.data == 0).sum()


def test_the_graph_is_symmetric_with_the_shorter_of_two_lengths():
    graph = symmetric_graph(np.array([[1, 2], [0, -1], [2, 0]]), np.array([[3.0, 1], [2, np.inf], [0, 1]]))
    np.testing.assert_array_equal(graph.toarray(), [[0, 2, 1], [2, 0, 0], [1, 0, 0]])
    assert graph.nnz == 4  # no self-edge, none for the missing neighbour
    assert graph.indices.dtype == np.int32


def test_a_graph_without_edges():
    graph = symmetric_graph(np.zeros((1, 0), np.int64), np.zeros((1, 0)))
    assert graph.shape == (1, 1)
    assert components_of(graph).count == 1


def broken_graph():
    """Rows 0-1, rows 2-4, and row 5 alone."""
    return graph_of(Edges(np.array([0, 2, 3]), np.array([1, 3, 4]), np.array([1.0, 1, 0])), 6)


def test_components_of_a_graph_with_an_isolated_point():
    components = components_of(broken_graph())
    np.testing.assert_array_equal(components.labels, [1, 1, 0, 0, 0, 2])
    np.testing.assert_array_equal(components.sizes, [3, 2, 1])
    assert components.describe() == "3 components of 3, 2 and 1 rows"
    found = geodesics_from(broken_graph(), np.array([5, 0]))
    np.testing.assert_array_equal(found[0], [np.inf] * 5 + [0])
    np.testing.assert_array_equal(found[1], [0, 1, *[np.inf] * 4])


def test_components_are_refused_by_number_and_sizes():
    refuse_components(components_of(graph_over(np.arange(9.0)[:, None], 2)), 2)
    with pytest.raises(
        InputError,
        match=r"graph of 4 neighbours falls into 3 components of 3, 2 and 1 rows: .*: raise n_neighbors, or .*join",
    ):
        refuse_components(components_of(broken_graph()), 4)
    empty = graph_of(Edges(*np.zeros((2, 0), np.int64), np.zeros(0)), 8)
    with pytest.raises(InputError, match=r"8 components of 1, 1, 1, 1, 1 rows and 3 smaller ones"):
        refuse_components(components_of(empty), 4)
    with pytest.raises(InputError, match="components='drop' is unknown, it may be one of error, join, largest"):
        check_policy("drop")


def test_shortest_links_leave_every_component_but_the_largest(rng):
    X = rng.standard_normal((6, 2))
    components = components_of(broken_graph())
    queries = np.flatnonzero(components.labels > 0)
    nearest, lengths = nearest_outside(cdist(X[queries], X), components.labels[queries], components.labels)
    links = shortest_links(components, nearest, lengths, queries)
    full = cdist(X, X)
    for label, (first, second, length) in zip((1, 2), zip(*links, strict=True), strict=True):
        inside = components.labels == label
        assert length == full[inside][:, ~inside].min() == full[first, second]


def block_over(X, landmarks, k=6, dtype=np.float32):
    geodesics = geodesics_from(graph_over(X, k), landmarks).T.astype(np.float32)
    return Geodesic(X.astype(dtype), np.ascontiguousarray(geodesics), k, EUCLIDEAN)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_support_rows_reproduce_their_geodesics(rng, dtype):
    X = rng.standard_normal((300, 3)).astype(dtype)
    X[50:60] = X[50]
    block = block_over(X, np.arange(20), dtype=dtype)
    found = block.sq_block(X)
    assert found.dtype == dtype
    np.testing.assert_array_equal(found, np.square(block.geodesics.astype(dtype)))


def test_rows_of_a_sampled_support_reproduce_their_geodesics(rng):
    """Their neighbours in the sample are no neighbours in the graph: the straight line there would be a short cut."""
    X, _ = make_swiss_roll(500, random_state=1)
    whole = block_over(X, np.arange(10))
    kept = np.arange(0, 500, 7)
    sampled = Geodesic(whole.points[kept], whole.geodesics[kept], 6, EUCLIDEAN)
    np.testing.assert_array_equal(sampled.sq_block(sampled.points), np.square(sampled.geodesics))


def test_new_rows_go_through_their_neighbours(rng):
    X, new = rng.standard_normal((200, 3)), rng.standard_normal((30, 3))
    block = block_over(X, np.arange(15), dtype=np.float64)
    distances = cdist(new, X)
    near = np.argsort(distances, axis=1)[:, :6]
    lengths = np.take_along_axis(distances, near, axis=1)[:, :, None] + block.geodesics[near]
    np.testing.assert_allclose(block.sq_block(new), lengths.min(axis=1) ** 2, rtol=1e-6)
    for at in range(0, 30, 7):
        np.testing.assert_array_equal(block.sq_block(new[at : at + 7]), block.sq_block(new)[at : at + 7])


def test_rows_that_cannot_be_placed_are_nan(rng):
    block = block_over(rng.standard_normal((40, 3)).astype(np.float32), np.arange(5))
    rows = rng.standard_normal((3, 3)).astype(np.float32)
    rows[1, 2] = np.inf
    found = block.sq_block(rows)
    assert np.isnan(found[1]).all()
    assert np.isfinite(found[[0, 2]]).all()
    assert block.sq_block(rows[:0]).shape == (0, 5)
    assert np.isnan(block.sq_block(rows[1:2])).all()


def test_state_round_trip_without_pickle(rng):
    X = rng.standard_normal((50, 4))
    metric = resolve_metric("seuclidean", None, X)
    block = Geodesic(X, rng.random((50, 3)).astype(np.float32), 5, metric)
    arrays, meta = block.to_state()
    again = Geodesic.from_state(arrays, json.loads(json.dumps(meta)))
    assert (again.name, again.fn, again.n_neighbors, again.n_landmarks) == ("geodesic", None, 5, 3)
    new = rng.standard_normal((9, 4))
    np.testing.assert_array_equal(again.sq_block(new), block.sq_block(new))
    called = Geodesic(X, block.geodesics, 5, resolve_metric(lambda u, v: float(abs(u - v).sum()), None, X))
    with pytest.raises(InputError, match="callable metric cannot be stored"):
        called.to_state()


def test_a_block_refuses_what_it_cannot_use(rng):
    X = rng.standard_normal((5, 2))
    with pytest.raises(InputError, match="n_neighbors=6 needs at least 6 rows, there are 5"):
        Geodesic(X, np.zeros((5, 2), np.float32), 6, EUCLIDEAN)
    with pytest.raises(ValueError, match="must be numbers"):
        Geodesic(X, np.full((5, 2), np.nan, np.float32), 2, EUCLIDEAN)
    with pytest.raises(ValueError, match="5 support rows and 4 rows"):
        Geodesic(X, np.zeros((4, 2), np.float32), 2, EUCLIDEAN)


def test_read_only_graphs_are_searched(rng):
    """Arrays that travelled between processes may be read-only."""
    graph = graph_over(rng.standard_normal((40, 2)), 5)
    for part in (graph.data, graph.indices, graph.indptr):
        part.flags.writeable = False
    assert sp.issparse(graph)
    assert np.isfinite(geodesics_from(graph, np.array([3]))).all()

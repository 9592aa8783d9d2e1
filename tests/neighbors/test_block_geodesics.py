"""Geodesics from landmarks over an engine: against Isomap, in memory and in scratch, components under each policy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse.csgraph import shortest_path
from scipy.spatial.distance import cdist
from sklearn.datasets import make_swiss_roll
from sklearn.manifold import Isomap

from landmark_ops.engine.threads import LocalEngine
from landmark_ops.errors import InputError
from landmark_ops.neighbors import geodesics, joins, paths
from landmark_ops.neighbors.geodesics import geodesic_support, landmark_geodesics
from landmark_ops.neighbors.graph_bytes import graph_bytes
from landmark_ops.numerics.metric import Metric
from landmark_ops.stores.sources.rows import ArrayRows
from tests.neighbors.graphs import graph_by

EUCLIDEAN = Metric("euclidean")
ENGINE = LocalEngine(2)


def graph_over(X, k=6, exact=True):
    return graph_by(exact, ArrayRows(X), None, k, EUCLIDEAN, ENGINE)


def islands(rng, sizes=(50, 30, 12)):
    """Far apart clusters of rows in the plane, interleaved."""
    centers = np.array([[0.0, 0], [40, 0], [0, 90]])
    labels = rng.permutation(np.repeat(np.arange(len(sizes)), sizes))
    return centers[labels] + rng.standard_normal((len(labels), 2)), labels


def test_landmark_geodesics_are_those_of_isomap():
    X, _ = make_swiss_roll(500, random_state=0)
    expected = Isomap(n_neighbors=6).fit(X).dist_matrix_
    landmarks = np.arange(0, 500, 11)
    told: list[tuple[int, int]] = []
    found = landmark_geodesics(graph_over(X), landmarks, ENGINE, policy="error", scratch_uri=None, done=told.append)
    np.testing.assert_allclose(found.rows.read(0, 500), expected[:, landmarks], rtol=1e-6)
    np.testing.assert_allclose(found.landmark, expected[np.ix_(landmarks, landmarks)], rtol=1e-12)
    np.testing.assert_array_equal(found.landmark, found.landmark.T)
    assert found.note == "1 component of 500 rows"
    assert sum(stop - start for start, stop in told) == len(landmarks)


def test_scratch_and_memory_and_workers_agree(rng, tmp_path, monkeypatch):
    monkeypatch.setattr("landmark_ops.stores.scratch.ROW_CHUNK", 64)
    X = rng.standard_normal((300, 3))
    graph, landmarks = graph_over(X), rng.choice(300, 37, replace=False)
    memory = landmark_geodesics(graph, landmarks, LocalEngine(1), policy="error", scratch_uri=None)
    stored = landmark_geodesics(graph, landmarks, LocalEngine(3), policy="error", scratch_uri=str(tmp_path / "s"))
    assert stored.rows.shape == (300, 37)
    assert stored.rows.dtype == np.float32
    np.testing.assert_array_equal(stored.rows.read(0, 300), memory.rows.read(0, 300))
    np.testing.assert_array_equal(stored.read(100, 201), memory.read(100, 201))
    np.testing.assert_array_equal(stored.landmark, memory.landmark)
    assert sorted(path.name for path in (tmp_path / "s").iterdir()) == ["geodesics"]  # the graph has gone


def test_several_components_are_an_error_that_names_them(rng):
    X, _ = islands(rng)
    with pytest.raises(
        InputError,
        match=r"graph of 5 neighbours falls into 3 components of 50, 30 and 12 rows: .*raise n_neighbors, or",
    ):
        landmark_geodesics(graph_over(X, 5), np.arange(9), ENGINE, policy="error", scratch_uri=None)
    with pytest.raises(InputError, match="components='all' is unknown"):
        landmark_geodesics(graph_over(X, 5), np.arange(9), ENGINE, policy="all", scratch_uri=None)


@pytest.mark.parametrize("exact", [True, False])
@pytest.mark.parametrize("step", [1 << 20, 2 * 4 * 7])
def test_components_are_joined_by_the_shortest_edges(rng, monkeypatch, exact, step):
    monkeypatch.setattr(joins, "TASK_BYTES", step)  # all rows in one block, or seven in each
    X, labels = islands(rng)
    graph = graph_over(X, 5, exact=exact)
    landmarks = np.arange(0, 92, 4)
    found = landmark_geodesics(graph, landmarks, ENGINE, policy="join", scratch_uri=None, source=ArrayRows(X))
    assert np.isfinite(found.rows.read(0, 92)).all()
    full = cdist(X, X)
    between = sorted(full[np.ix_(labels == a, labels == b)].min() for a, b in ((0, 1), (0, 2), (1, 2)))
    dense = graph.matrix.toarray()
    added = found.matrix.toarray()
    lengths = sorted(added[np.triu((dense == 0) & (added > 0))])
    np.testing.assert_allclose(lengths, between[:2], rtol=1e-6)  # the spanning tree of the three
    np.testing.assert_allclose(found.read(0, 92), shortest_path(added, directed=False)[:, landmarks], rtol=1e-6)
    assert found.note.startswith("3 components of 50, 30 and 12 rows, joined by 2 shortest edges, the longest")


def test_joining_many_rows_samples_them_and_says_so(rng, monkeypatch):
    monkeypatch.setattr(joins, "JOIN_PAIRS", 92 * 8)
    X, _ = islands(rng)
    found = landmark_geodesics(graph_over(X, 5), np.arange(9), ENGINE, policy="join", scratch_uri=None)
    assert np.isfinite(found.read(0, 92)).all()
    assert "shortest from sampled rows of each component edges" in found.note


def test_joining_without_the_rows_is_a_mistake(rng):
    X, _ = islands(rng)
    with pytest.raises(ValueError, match="give source"):
        landmark_geodesics(graph_over(X, 5, exact=False), np.arange(9), ENGINE, policy="join", scratch_uri=None)


def test_the_largest_component_alone(rng, tmp_path):
    X, labels = islands(rng)
    landmarks = np.arange(0, 92, 3)
    graph = graph_over(X, 5)
    found = landmark_geodesics(graph, landmarks, ENGINE, policy="largest", scratch_uri=str(tmp_path / "s"))
    np.testing.assert_array_equal(found.kept, np.flatnonzero(labels[landmarks] == 0))
    values = found.rows.read(0, 92)
    assert np.isnan(values[labels != 0]).all()
    assert np.isfinite(values[labels == 0]).all()
    assert np.isfinite(found.landmark).all()
    assert found.landmark.shape == (len(found.kept),) * 2
    assert f"the largest alone has coordinates; {len(landmarks) - len(found.kept)} landmarks left out" in found.note
    block = geodesic_support(ArrayRows(X), graph, found, landmarks, ENGINE)
    assert len(block.points) == 92
    np.testing.assert_array_equal(np.isfinite(block.sq_block(X)).all(axis=1), labels == 0)
    with pytest.raises(InputError, match="none of 30 landmarks lies in the largest of 3 components of 50, 30 and 12"):
        landmark_geodesics(graph, np.flatnonzero(labels == 1), ENGINE, policy="largest", scratch_uri=None)


def test_an_outlier_and_a_heap_of_duplicates(rng):
    """A far row still has neighbours; more copies of a row than neighbours are a component of their own."""
    X = np.concatenate([rng.standard_normal((60, 2)), [[-500.0, 0]], np.repeat([[9.0, 9.0]], 20, axis=0)])
    graph = graph_over(X, 5)
    with pytest.raises(InputError, match="2 components of 61 and 20 rows"):
        landmark_geodesics(graph, np.arange(5), ENGINE, policy="error", scratch_uri=None)
    found = landmark_geodesics(graph, np.arange(5), ENGINE, policy="join", scratch_uri=None).read(0, 81)
    assert np.isfinite(found).all()
    assert (found[61:] == found[61]).all()


def test_the_block_beside_the_map_reproduces_its_rows(rng, monkeypatch):
    X, _ = make_swiss_roll(600, random_state=2)
    X = X.astype(np.float32)
    landmarks = rng.choice(600, 20, replace=False)
    for exact in (True, False):
        graph = graph_over(X, 8, exact=exact)
        found = landmark_geodesics(graph, landmarks, ENGINE, policy="error", scratch_uri=None)
        whole = geodesic_support(ArrayRows(X), graph, found, landmarks, ENGINE)
        np.testing.assert_array_equal(whole.sq_block(X), np.square(found.read(0, 600)))
        with monkeypatch.context() as patched:
            patched.setattr(geodesics, "SUPPORT_ROWS", 100)
            sampled = geodesic_support(ArrayRows(X), graph, found, landmarks, ENGINE, seed=4)
        assert len(sampled.points) == 100
        np.testing.assert_array_equal(sampled.sq_block(X[landmarks]), np.square(found.read(0, 600)[landmarks]))


def test_landmarks_must_be_rows_of_the_support(rng):
    graph = graph_over(rng.standard_normal((20, 2)), 3)
    for wrong in ([], [20], [-1]):
        with pytest.raises(ValueError, match=r"must be one or more of 0\.\.19"):
            landmark_geodesics(graph, np.array(wrong), ENGINE, policy="error", scratch_uri=None)


def test_too_much_for_memory_asks_for_scratch(rng, monkeypatch):
    monkeypatch.setattr(paths, "IN_MEMORY_BYTES", 1 << 10)
    graph = graph_over(rng.standard_normal((100, 2)), 10)
    with pytest.raises(InputError, match=r"geodesics of 100 rows to 50 landmarks take .* MiB .*give a scratch folder"):
        landmark_geodesics(graph, np.arange(50), ENGINE, policy="join", scratch_uri=None)


def test_the_plan_grows_with_the_support_and_not_with_the_landmarks():
    small, large = graph_bytes(100_000, 192, 10, 500), graph_bytes(1_000_000, 192, 10, 500)
    assert 4 * small.worker < large.worker < 10 * small.worker
    assert graph_bytes(100_000, 192, 10, 1000).worker == small.worker
    assert large.scratch > 500 * 1_000_000 * 4

"""Locally linear landmarks against the dense pencil, and against Laplacian eigenmaps where every row is a landmark."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.linalg import eigh, subspace_angles
from sklearn.datasets import make_swiss_roll
from sklearn.manifold import LocallyLinearEmbedding
from sklearn.manifold._locally_linear import barycenter_kneighbors_graph
from sklearn.neighbors import kneighbors_graph

from landmark_ops import LocallyLinearLandmarks
from landmark_ops.engine.threads import LocalEngine
from landmark_ops.errors import InputError
from landmark_ops.methods.locally_linear_landmarks import LocallyLinearLandmarksMethod
from landmark_ops.numerics.affine_weights import Weights
from landmark_ops.passes.ranges import ranges
from landmark_ops.solver.asks import Source, solve_one
from landmark_ops.solver.method import Solution
from tests.rows import ChunkedRows

ROLL = make_swiss_roll(500, random_state=0)[0]
CHOSEN = np.arange(0, 500, 5)


def pencil(X: np.ndarray, neighbors: int) -> tuple[np.ndarray, np.ndarray]:
    """Laplacian and degrees of the symmetrised graph with edges of weight 1, dense."""
    graph = kneighbors_graph(X, neighbors)
    G = ((graph + graph.T) > 0).astype(float).toarray()
    return np.diag(G.sum(axis=1)) - G, np.diag(G.sum(axis=1))


def solve(chunk: int = 50, step: int = 200, workers: int = 2, n_weights: int | None = 4) -> Solution:
    source = Source(ChunkedRows(ROLL, chunk), LocalEngine(workers), ranges(500, step), 0, landmark_indices=CHOSEN)
    return solve_one(LocallyLinearLandmarksMethod(3, 8, n_weights).solve(ROLL[CHOSEN], ROLL.dtype), source)


def test_weights_are_affine_and_local():
    weights = Weights(4, 1e-3).block(ROLL, ROLL[CHOSEN])
    np.testing.assert_allclose(weights.sum(axis=1), 1)
    assert ((weights != 0).sum(axis=1) <= 4).all()
    gaps = np.linalg.norm(ROLL[:, None] - ROLL[CHOSEN], axis=2)
    for row, gap in zip(weights, gaps, strict=True):
        assert set(np.flatnonzero(row)) <= set(np.argsort(gap)[:4])
    np.testing.assert_array_equal(weights[CHOSEN], np.eye(len(CHOSEN)))  # a landmark is itself


def test_weights_are_those_of_locally_linear_embedding():
    """Minimisers of |x - sum w z|^2 + ridge |w|^2 with sum w = 1, one row at a time."""
    Z = ROLL[CHOSEN]
    weights = Weights(5, 1e-2).block(ROLL[:40], Z)
    for x, found in zip(ROLL[:40], weights, strict=True):
        near = np.argsort(np.linalg.norm(Z - x, axis=1))[:5]
        C = (Z[near] - x) @ (Z[near] - x).T
        if np.linalg.norm(Z[near[0]] - x) == 0:
            continue
        w = np.linalg.solve(C + 1e-2 * np.trace(C) * np.eye(5), np.ones(5))
        np.testing.assert_allclose(found[near], w / w.sum(), rtol=1e-6, atol=1e-9)


def test_the_solution_is_that_of_the_dense_pencil():
    L, D = pencil(ROLL, 8)
    U = Weights(4, 1e-3).block(ROLL, ROLL[CHOSEN])
    values, Y = eigh(U.T @ L @ U, U.T @ D @ U)
    solution = solve()
    np.testing.assert_allclose(2 * (1 - solution.eigenvalues), values[1:4], rtol=1e-7)
    expected = U @ Y[:, 1:4]
    found = solution.map(ROLL)
    for ours, theirs in zip(found.T, expected.T, strict=True):
        assert min(np.abs(ours - theirs).max(), np.abs(ours + theirs).max()) < 1e-6 * np.abs(theirs).max()


def test_with_every_row_a_landmark_it_is_laplacian_eigenmaps():
    L, D = pencil(ROLL, 10)
    values, vectors = eigh(L, D, subset_by_index=[0, 2])
    fitted = LocallyLinearLandmarks(2, n_weights=1, n_landmarks=500).fit(ROLL)
    np.testing.assert_allclose(2 * (1 - fitted.eigenvalues_), values[1:], rtol=1e-9)
    assert np.sin(subspace_angles(fitted.transform(ROLL), vectors[:, 1:])).max() < 1e-9


def test_with_every_row_a_landmark_lle_is_lle():
    exact = LocallyLinearEmbedding(n_neighbors=10, n_components=2, reg=1e-3, eigen_solver="dense").fit(ROLL)
    fitted = LocallyLinearLandmarks(2, objective="lle", n_weights=1, n_landmarks=500).fit(ROLL)
    assert np.sin(subspace_angles(fitted.transform(ROLL), exact.embedding_)).max() < 1e-5


def test_lle_is_that_of_the_dense_pencil():
    W = barycenter_kneighbors_graph(ROLL, 8, reg=1e-3).toarray()
    left = np.eye(500) - W
    U = Weights(4, 1e-3).block(ROLL, ROLL[CHOSEN])
    _, Y = eigh(U.T @ left.T @ left @ U, U.T @ U)
    for chunk, step, workers in ((50, 200, 2), (7, 33, 1)):
        source = Source(ChunkedRows(ROLL, chunk), LocalEngine(workers), ranges(500, step), 0, landmark_indices=CHOSEN)
        method = LocallyLinearLandmarksMethod(3, 8, 4, objective="lle")
        solution = solve_one(method.solve(ROLL[CHOSEN], ROLL.dtype), source)
        assert np.sin(subspace_angles(solution.map(ROLL), U @ Y[:, 1:4])).max() < 1e-5


@pytest.mark.parametrize(("chunk", "step", "workers"), [(1, 500, 1), (13, 64, 3), (500, 1, 2)])
def test_chunks_and_workers_change_nothing(chunk, step, workers):
    np.testing.assert_allclose(solve(chunk, step, workers).map(ROLL), solve().map(ROLL), atol=1e-10)


def test_landmarks_keep_their_own_coordinates():
    solution = solve()
    np.testing.assert_allclose(solution.map(ROLL[CHOSEN]), solution.embedding, atol=1e-12)


def test_a_graph_in_two_parts_is_said():
    apart = np.vstack([ROLL[:100], ROLL[100:160] + 1000])
    with pytest.warns(UserWarning, match="falls apart into 2 components of 100 and 60 rows"):
        LocallyLinearLandmarks(2, n_landmarks=60, n_neighbors=5, random_state=0).fit(apart)


def test_more_weights_than_landmarks():
    with pytest.raises(InputError, match="n_weights=30 exceeds the 20 landmarks"):
        LocallyLinearLandmarks(2, n_weights=30, n_landmarks=20, random_state=0).fit(ROLL)


def test_rows_with_nan_are_marked():
    X = ROLL[:5].copy()
    X[2, 1] = np.nan
    placed = solve().map.place(X)
    assert np.isnan(placed.embedding[2]).all()
    assert np.isfinite(np.delete(placed.embedding, 2, axis=0)).all()

"""Landmark diffusion maps against the dense formulas of Roseland in float64."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics.pairwise import rbf_kernel

from landmark_ops import LandmarkDiffusionMap
from landmark_ops.engine.threads import LocalEngine
from landmark_ops.errors import InputError
from landmark_ops.methods.landmark_diffusion_map import LandmarkDiffusionMapMethod
from landmark_ops.numerics.kernel import KernelChoice
from landmark_ops.passes.ranges import ranges
from landmark_ops.solver.asks import Source, solve_one
from landmark_ops.solver.method import Solution
from tests.rows import ChunkedRows

X = np.random.default_rng(5).normal(size=(500, 3))
Z = X[:60]
GAMMA = 0.6


def diffuse(t: float, alpha: float, step: int = 120, chunk: int = 50, workers: int = 2) -> Solution:
    source = Source(ChunkedRows(X, chunk), LocalEngine(workers), ranges(len(X), step), seed=0)
    return solve_one(LandmarkDiffusionMapMethod(4, KernelChoice(gamma=GAMMA), t, alpha).solve(Z, X.dtype), source)


def dense(t: float, alpha: float) -> tuple[np.ndarray, np.ndarray]:
    """Squared singular values and coordinates D^-1/2 U S^2t of the affinity W W^T, density-normalised by alpha."""
    W = rbf_kernel(X, Z, gamma=GAMMA)
    W = W * (W @ W.sum(axis=0))[:, None] ** -alpha
    D = W @ W.sum(axis=0)
    U, S, _ = np.linalg.svd(W / np.sqrt(D)[:, None], full_matrices=False)
    return S**2, U / np.sqrt(D)[:, None] * S ** (2 * t)


@pytest.mark.parametrize("t", [0.5, 1.0, 3.0])
@pytest.mark.parametrize("alpha", [0.0, 0.5, 1.0])
def test_coordinates_are_those_of_the_dense_affinity(t, alpha):
    solution = diffuse(t, alpha)
    values, coordinates = dense(t, alpha)
    assert values[0] == pytest.approx(1)
    np.testing.assert_allclose(coordinates[:, 0], coordinates[0, 0], rtol=1e-9)  # constant, left out
    np.testing.assert_allclose(solution.eigenvalues, values[1:5], rtol=1e-9)
    found = solution.map(X)
    for ours, theirs in zip(found.T, coordinates[:, 1:5].T, strict=True):
        scale = np.abs(theirs).max()
        assert min(np.abs(ours - theirs).max(), np.abs(ours + theirs).max()) < 1e-8 * scale


def test_they_are_the_diffusion_distances_of_the_affinity():
    """|y_i - y_j|^2 over all coordinates is that of rows i, j of P^t, weighted by 1/D (Coifman & Lafon 2006)."""
    W = rbf_kernel(X, Z, gamma=GAMMA)
    K = W @ W.T
    D = K.sum(axis=1)
    P = K / D[:, None]
    source = Source(ChunkedRows(X, 50), LocalEngine(1), ranges(len(X), 120), seed=0)
    Y = solve_one(LandmarkDiffusionMapMethod(45, KernelChoice(gamma=GAMMA), 2.0).solve(Z, X.dtype), source).map(X)
    P2 = P @ P
    for i, j in [(0, 1), (3, 200), (17, 499)]:
        expected = ((P2[i] - P2[j]) ** 2 / D).sum()
        assert ((Y[i] - Y[j]) ** 2).sum() == pytest.approx(expected, rel=1e-6)


@given(step=st.integers(1, 600), chunk=st.integers(1, 200), workers=st.integers(1, 3))
@settings(max_examples=12, deadline=None)
def test_chunks_and_workers_change_nothing(step, chunk, workers):
    found = diffuse(1.0, 1.0, step, chunk, workers).map(X)
    np.testing.assert_allclose(found, diffuse(1.0, 1.0).map(X), atol=1e-12)


def test_fit_transform_equals_transform():
    estimator = LandmarkDiffusionMap(3, t=2, alpha=1, n_landmarks=60, random_state=0)
    placed = estimator.fit_transform(X)
    np.testing.assert_allclose(estimator.transform(X[7:9]), placed[7:9], rtol=1e-12)


def test_landmarks_keep_their_own_coordinates():
    solution = diffuse(1.0, 0.5)
    np.testing.assert_allclose(solution.map(Z), solution.embedding, rtol=1e-12)


def test_more_components_than_rank():
    line = np.linspace(0, 1, 60)[:, None]
    with pytest.raises(InputError, match=r"n_components=30 exceeds the numerical rank .* of the diffusion operator"):
        LandmarkDiffusionMap(30, n_landmarks=40, gamma=0.01, random_state=0).fit(line)


def test_rows_out_of_reach_are_refused():
    far = np.vstack([X, np.full((2, 3), 1e4)])
    with pytest.raises(InputError, match=r"2 of 502 rows .* the kernel vanishes"):
        LandmarkDiffusionMap(2, selection=Z, gamma=GAMMA).fit(far)

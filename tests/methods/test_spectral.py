"""Spectral embedding and clustering against dense linear algebra in float64, and the identities they promise."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import subspace_angles
from sklearn.datasets import make_moons
from sklearn.metrics import adjusted_rand_score
from sklearn.metrics.pairwise import rbf_kernel

from landmark_ops import SpectralClustering, SpectralEmbedding
from landmark_ops.configs.embed import parse_config
from landmark_ops.engine.threads import LocalEngine
from landmark_ops.errors import InputError
from landmark_ops.methods.spectral_clustering import SpectralClusteringMethod
from landmark_ops.methods.spectral_embedding import SpectralEmbeddingMethod
from landmark_ops.numerics.kernel import KernelChoice
from landmark_ops.passes.ranges import ranges
from landmark_ops.solver.asks import Source, solve_all, solve_one
from landmark_ops.solver.method import Solution
from tests.rows import ChunkedRows

F64 = np.dtype(np.float64)
X = np.random.default_rng(3).normal(size=(600, 3))
Z = X[:80]
GAMMA = 0.7


def source(X: np.ndarray, step: int = 130, workers: int = 2, chunk: int = 50) -> Source:
    return Source(ChunkedRows(X, chunk), LocalEngine(workers), ranges(len(X), step), seed=0)


def embed(X: np.ndarray, Z: np.ndarray, k: int, gamma: float = GAMMA, **where: int) -> Solution:
    method = SpectralEmbeddingMethod(k, KernelChoice(gamma=gamma))
    return solve_one(method.solve(Z, X.dtype), source(X, **where))


def dense(X: np.ndarray, Z: np.ndarray, gamma: float) -> tuple[np.ndarray, np.ndarray]:
    """Eigenvalues and eigenvectors of D^-1/2 K^ D^-1/2, K^ = C W^+ C^T formed whole, descending."""
    C = rbf_kernel(X, Z, gamma=gamma)
    K = C @ np.linalg.pinv(rbf_kernel(Z, gamma=gamma), rcond=1e-13, hermitian=True) @ C.T
    d = K.sum(axis=1)
    values, vectors = np.linalg.eigh(K / np.sqrt(np.outer(d, d)))
    return values[::-1], vectors[:, ::-1]


def test_the_embedding_is_that_of_the_dense_nystrom_affinity():
    solution = embed(X, Z, 5)
    values, vectors = dense(X, Z, GAMMA)
    np.testing.assert_allclose(solution.spectrum[:6], values[:6], rtol=1e-7)
    assert values[0] == pytest.approx(1)  # the trivial one, left out
    V = solution.map(X)
    for ours, theirs in zip(V.T, vectors[:, 1:6].T, strict=True):
        assert abs(ours @ theirs) == pytest.approx(1, abs=1e-6)


def test_eigenvectors_are_orthonormal_over_all_rows():
    """V^T V = I: the step that gives the one-shot method its name, and that dask-ml leaves out."""
    V = embed(X, Z, 6).map(X)
    np.testing.assert_allclose(V.T @ V, np.eye(6), atol=1e-10)


def test_with_every_row_a_landmark_it_is_the_exact_method():
    some = X[:150]
    K = rbf_kernel(some, gamma=GAMMA)
    d = K.sum(axis=1)
    values, vectors = np.linalg.eigh(K / np.sqrt(np.outer(d, d)))
    solution = embed(some, some, 4)
    np.testing.assert_allclose(solution.eigenvalues, values[::-1][1:5], rtol=1e-8)
    assert np.sin(subspace_angles(solution.map(some), vectors[:, ::-1][:, 1:5])).max() < 1e-6


@given(step=st.integers(1, 700), chunk=st.integers(1, 200), workers=st.integers(1, 3))
@settings(max_examples=12, deadline=None)
def test_chunks_and_workers_change_nothing(step, chunk, workers):
    expected, found = embed(X, Z, 3).map(X), embed(X, Z, 3, step=step, chunk=chunk, workers=workers).map(X)
    np.testing.assert_allclose(found, expected, atol=1e-10)  # signs included


def test_landmarks_keep_their_own_coordinates():
    solution = embed(X, Z, 3)
    np.testing.assert_allclose(solution.map(Z), solution.embedding, atol=1e-12)


def test_float32_rows_come_close():
    V, narrow = embed(X, Z, 3).map(X), embed(X.astype(np.float32), Z.astype(np.float32), 3).map(X)
    assert np.sin(subspace_angles(V, narrow)).max() < 1e-2


@pytest.mark.parametrize("m", [50, 100, 200])
def test_two_moons_are_told_apart(m):
    """Where a Nystrom spectral clustering without orthogonalisation reaches an ARI of .28 to .53."""
    moons, label = make_moons(2000, noise=0.05, random_state=0)
    fitted = SpectralClustering(2, n_landmarks=m, gamma=20, random_state=0).fit(moons)
    assert adjusted_rand_score(label, fitted.labels_) == 1.0
    new, new_label = make_moons(500, noise=0.05, random_state=1)
    assert adjusted_rand_score(new_label, fitted.predict(new)) == 1.0


def test_fit_and_predict_agree():
    fitted = SpectralClustering(4, n_landmarks=80, random_state=0).fit(X)
    np.testing.assert_array_equal(fitted.predict(X), fitted.labels_)
    np.testing.assert_allclose(np.linalg.norm(fitted.transform(X), axis=1), 1)


def test_methods_solved_together_equal_those_solved_apart():
    """They share passes and blocks, and nothing else."""
    methods = [
        SpectralEmbeddingMethod(3, KernelChoice(gamma=GAMMA)),
        SpectralClusteringMethod(3, None, KernelChoice(gamma=GAMMA)),
        SpectralEmbeddingMethod(2, KernelChoice("laplacian", gamma=0.3)),
    ]
    reads = 0

    class Counting(ChunkedRows):
        def read(self, start, stop):
            nonlocal reads
            reads += stop - start
            return super().read(start, stop)

    where = source(X)
    rows = Counting(X, 50)
    together = solve_all(
        [method.solve(Z, F64) for method in methods], Source(rows, LocalEngine(1), where.items, seed=0)
    )
    passes = reads / len(X)
    assert passes < 4  # two passes for all three methods, and the rows that k-means was run on
    for method, solution in zip(methods, together, strict=True):
        alone = solve_one(method.solve(Z, F64), where)
        np.testing.assert_allclose(solution.map(X), alone.map(X), atol=1e-12)


def test_more_components_than_rank():
    line = np.linspace(0, 1, 50)[:, None]
    with pytest.raises(InputError, match=r"n_components=40 exceeds the numerical rank \d+ of the normalised affinity"):
        embed(line, line[::5], 40, gamma=0.1)


def test_rows_beyond_the_reach_of_the_kernel_are_refused():
    far = np.vstack([X, np.full((3, 3), 1e4)])
    with pytest.raises(InputError, match=r"3 of 603 rows .* a bandwidth so narrow that the kernel vanishes"):
        embed(far, Z, 3)


def test_rows_out_of_reach_have_no_coordinates():
    fitted = embed(X, Z, 3).map
    placed = fitted.place(np.vstack([X[:4], np.full((1, 3), 1e4)]))
    assert np.isfinite(placed.embedding[:4]).all()
    assert np.isnan(placed.embedding[4]).all()


def test_groups_that_do_not_touch_are_said():
    apart = np.vstack([X[:200], X[200:400] + 100])
    with pytest.warns(UserWarning, match="2 eigenvalues of the normalised affinity are 1 to rounding: .* 2 groups"):
        SpectralEmbedding(2, n_landmarks=60, gamma=0.5, random_state=0).fit(apart)


def test_an_affinity_that_is_not_positive_is_refused():
    odd = np.vstack([X[:100], -X[:100]])
    with pytest.raises(InputError, match=r"200 of 200 rows have negative weights under kernel linear"):
        solve_one(SpectralEmbeddingMethod(1, KernelChoice("linear")).solve(odd[:50], F64), source(odd))


def test_more_clusters_than_distinct_rows():
    few = np.repeat(np.eye(3), 40, axis=0)
    with pytest.raises(InputError, match=r"n_clusters=5: the embedded rows hold \d distinct points"):
        solve_one(SpectralClusteringMethod(5, 2, KernelChoice(gamma=0.5)).solve(np.eye(3), F64), source(few))


def test_one_cluster_holds_every_row():
    """As in scikit-learn; a config that asks for one is refused, as it can only be a mistake."""
    assert not SpectralClustering(1, n_landmarks=50, random_state=0).fit(X).labels_.any()
    with pytest.raises(InputError, match=r"method\.n_clusters: .*greater than or equal to 2, got 1"):
        parse_config("source: {uri: a}\noutput: {uri: b}\nmethod: {name: spectral_clustering, n_clusters: 1}")


def test_one_component_is_the_second_eigenvector():
    apart = np.vstack([X[:200], X[200:400] + np.array([4, 0, 0])])
    fitted = SpectralClustering(2, n_components=1, n_landmarks=80, gamma=0.5, random_state=0).fit(apart)
    assert adjusted_rand_score(np.repeat([0, 1], 200), fitted.labels_) > 0.85


def test_duplicate_rows_and_landmarks():
    twice = np.vstack([X[:100], X[:100]])
    with pytest.warns(UserWarning, match="10 of 60 landmarks repeat another"):
        fitted = SpectralEmbedding(2, selection=np.vstack([X[:50], X[:10]])).fit(twice)
    out = fitted.transform(twice)
    np.testing.assert_allclose(out[:100], out[100:], atol=1e-12)

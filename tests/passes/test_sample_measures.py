"""Quality and coverage against independent computations of the same measures."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.distance import cdist, pdist
from sklearn.manifold import trustworthiness

from landmark_ops.engine.threads import LocalEngine
from landmark_ops.maps.landmark_map import LandmarkMap
from landmark_ops.methods.landmark_mds import LandmarkMDSMethod
from landmark_ops.numerics.kernel import KernelChoice, kernel_block
from landmark_ops.numerics.quality import Quality, summarize
from landmark_ops.numerics.query_sums import neighbors_for, original_distances, query_sums
from landmark_ops.passes.sample_measures import MAX_QUERIES, sample_cover, sample_quality
from landmark_ops.solver.features import nystrom_features

ENGINE = LocalEngine(2)
F64 = np.dtype(np.float64)


def fitted(X: np.ndarray, k: int = 2, metric: str = "euclidean") -> LandmarkMap:
    return LandmarkMDSMethod(k, metric).start(X[:40], F64).map


def measure(X: np.ndarray, embedding: np.ndarray, metric: str = "euclidean", seed: int = 0) -> Quality:
    return sample_quality(X, embedding, fitted(X, 1, metric), ENGINE, seed)


@pytest.fixture
def X(rng):
    return rng.normal(size=(300, 6)) * [4, 3, 2, 1, 1, 1]


@pytest.fixture
def Y(X):
    return fitted(X)(X)


@pytest.mark.parametrize("size", [12, 25, 300])
def test_trustworthiness_and_continuity_are_scikit_learns(X, Y, size):
    """Every row is a query. Continuity is trustworthiness with the spaces exchanged (Venna & Kaski 2006)."""
    X, Y = X[:size], Y[:size]
    found = sample_quality(X, Y, fitted(X), ENGINE, 0)
    assert found.queries == found.sample == size
    k = found.neighbors
    assert found.trustworthiness.value == pytest.approx(trustworthiness(X, Y, n_neighbors=k), abs=1e-12)
    assert found.continuity.value == pytest.approx(trustworthiness(Y, X, n_neighbors=k), abs=1e-12)


def test_trustworthiness_in_another_metric(X, Y):
    found = measure(X, Y, "cityblock")
    expected = trustworthiness(X, Y, n_neighbors=10, metric="cityblock")
    assert found.trustworthiness.value == pytest.approx(expected, abs=1e-12)


def test_recall_is_that_of_brute_force(X, Y):
    def neighbours(points):
        distances = cdist(points, points)
        np.fill_diagonal(distances, np.inf)
        return np.argsort(distances, axis=1)[:, :10]

    shared = [len(set(a) & set(b)) / 10 for a, b in zip(neighbours(X), neighbours(Y), strict=True)]
    found = measure(X, Y).recall
    assert found.value == pytest.approx(np.mean(shared), abs=1e-12)
    assert found.standard_error == pytest.approx(np.std(shared, ddof=1) / np.sqrt(300), rel=1e-9)


@pytest.mark.parametrize("metric", ["euclidean", "cityblock", "sqeuclidean"])
def test_stress_and_residual_variance_are_their_formulas(X, metric):
    Y = fitted(X, 2, metric)(X)
    found = measure(X, Y, metric)
    original, embedded = pdist(X, metric), pdist(Y)
    if metric == "sqeuclidean":  # its root is what the embedding keeps
        original = np.sqrt(original)
    stress = np.sqrt(((original - embedded) ** 2).sum() / (original**2).sum())
    assert found.stress.value == pytest.approx(stress, rel=1e-9)
    assert found.residual_variance.value == pytest.approx(1 - np.corrcoef(original, embedded)[0, 1] ** 2, rel=1e-9)


def test_distances_of_kernels_are_those_of_the_feature_space(X):
    kernel = nystrom_features(KernelChoice("rbf", gamma=0.1), X[:40], F64, 3).map.block
    gram = kernel_block(X, X, kernel)
    squares = np.diag(gram)[:, None] + np.diag(gram) - 2 * gram
    np.testing.assert_allclose(original_distances(X, X, kernel) ** 2, squares, atol=1e-12)


def test_a_perfect_embedding(X):
    """All six dimensions kept, turned, moved: nothing is lost."""
    rotation, _ = np.linalg.qr(np.random.default_rng(1).normal(size=(6, 6)))
    found = measure(X, X @ rotation + 100)
    assert found.stress.value == pytest.approx(0, abs=1e-6)
    assert found.residual_variance.value == pytest.approx(0, abs=1e-9)
    assert found.trustworthiness.value == found.continuity.value == found.recall.value == 1
    assert found.recall.standard_error == 0


def test_a_random_embedding_is_poor(X, rng):
    found = measure(X, rng.normal(size=(300, 2)))
    assert found.trustworthiness.value == pytest.approx(0.5, abs=0.1)
    assert found.recall.value == pytest.approx(10 / 299, abs=0.03)
    assert found.residual_variance.value > 0.95


def test_few_queries_estimate_what_all_would_say(rng, monkeypatch):
    """Each estimate from 200 of 1,500 rows lies within some standard errors of the value over all."""
    X = rng.normal(size=(1500, 6)) * [4, 3, 2, 1, 1, 1]
    whole = fitted(X)
    Y = whole(X)
    monkeypatch.setattr("landmark_ops.passes.sample_measures.MAX_QUERIES", 1500)
    every = sample_quality(X, Y, whole, ENGINE, 0)
    monkeypatch.setattr("landmark_ops.passes.sample_measures.MAX_QUERIES", 200)
    few = sample_quality(X, Y, whole, ENGINE, 0)
    assert (every.queries, few.queries, few.sample) == (1500, 200, 1500)
    for name in ("stress", "residual_variance", "trustworthiness", "continuity", "recall"):
        estimate = getattr(few, name)
        assert abs(estimate.value - getattr(every, name).value) < 4 * estimate.standard_error


def test_standard_errors_are_those_of_the_bootstrap(X, Y):
    """Over queries; within a third, the bootstrap's own error at 400 draws being a tenth."""
    block = fitted(X).block
    sums = query_sums(0, 200, X, Y, block, 10)
    found = summarize([sums], 10, len(X))
    drawn = np.random.default_rng(3).integers(0, 200, size=(400, 200))
    resampled = [summarize([type(sums)(*(column[rows] for column in sums))], 10, len(X)) for rows in drawn]
    for name in ("stress", "residual_variance", "trustworthiness", "continuity", "recall"):
        spread = np.std([getattr(quality, name).value for quality in resampled], ddof=1)
        assert getattr(found, name).standard_error == pytest.approx(spread, rel=0.33), name


def test_queries_do_not_depend_on_batches_or_workers(X, Y, monkeypatch):
    expected = measure(X, Y)
    assert sample_quality(X, Y, fitted(X, 1), LocalEngine(1), 0) == expected
    monkeypatch.setattr("landmark_ops.passes.sample_measures.QUERY_BATCH", 17)
    assert measure(X, Y).trustworthiness.value == pytest.approx(expected.trustworthiness.value, abs=1e-12)


def test_the_seed_draws_the_queries(rng):
    X = rng.normal(size=(1200, 3))
    whole = fitted(X)
    Y = whole(X)
    first = sample_quality(X, Y, whole, ENGINE, 1)
    assert first == sample_quality(X, Y, whole, ENGINE, 1)
    assert first != sample_quality(X, Y, whole, ENGINE, 2)
    assert first.queries == MAX_QUERIES


@pytest.mark.parametrize("size", [2, 3, 4, 5, 20, 21])
def test_tiny_samples(rng, size):
    """The neighbourhood measures need 3 k + 1 < 2 S; where none fits they are NaN, never an error."""
    X = rng.normal(size=(size, 3))
    fitted = LandmarkMDSMethod(1).start(X, F64).map
    found = sample_quality(X, X[:, :1], fitted, ENGINE, 0)
    assert found.sample == size
    assert found.neighbors == neighbors_for(size) >= 1
    assert np.isfinite(found.stress.value)
    if size >= 4:
        assert 0 <= found.trustworthiness.value <= 1


def test_duplicate_rows_do_not_count_as_errors(rng):
    X = np.repeat(rng.normal(size=(40, 3)), 5, axis=0)
    found = measure(X, X)
    assert found.stress.value == pytest.approx(0, abs=1e-6)
    assert found.trustworthiness.value == pytest.approx(1)
    assert found.continuity.value == pytest.approx(1)


def test_float32_rows_are_measured_in_float64(X, Y):
    found = measure((X + 1e3).astype(np.float32), Y.astype(np.float32))
    assert found.stress.value == pytest.approx(measure(X, Y).stress.value, rel=1e-3)


@pytest.mark.parametrize("metric", ["euclidean", "cityblock", "cosine"])
def test_cover_is_the_distance_to_the_nearest_landmark(X, metric):
    whole = fitted(X, 1, metric)
    distances = cdist(X, whole.landmarks, metric)
    if metric == "cosine":  # its root: |x/|x| - z/|z||^2 is twice the cosine distance
        distances = original_distances(X, whole.landmarks, whole.block)
    found = sample_cover(X, whole, ENGINE)
    np.testing.assert_allclose(found.nearest, distances.min(axis=1), atol=1e-6)
    np.testing.assert_array_equal(found.cell_sizes, np.bincount(distances.argmin(axis=1), minlength=40))
    assert found.cell_sizes.sum() == len(X)


def test_cover_of_many_batches(X, monkeypatch):
    expected = sample_cover(X, fitted(X), ENGINE)
    monkeypatch.setattr("landmark_ops.passes.sample_measures.COVER_BATCH", 7)
    found = sample_cover(X, fitted(X), ENGINE)
    np.testing.assert_allclose(found.nearest, expected.nearest, atol=1e-7)
    np.testing.assert_array_equal(found.cell_sizes, expected.cell_sizes)


def test_neighbours_that_tie_may_be_any_of_them(X):
    """Twenty copies of each row: which ten of nineteen are found first is chance, a perfect embedding misses none."""
    copies = np.repeat(X[:15], 20, axis=0)
    assert measure(copies, copies + 1).recall.value == 1

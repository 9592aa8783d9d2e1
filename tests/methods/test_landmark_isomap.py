"""Landmark Isomap against scikit-learn's exact Isomap, and its promises about new rows and broken graphs."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial import procrustes
from sklearn.datasets import make_swiss_roll
from sklearn.manifold import Isomap

from landmark_ops import LandmarkIsomap, LandmarkMap, LandmarkMDS
from landmark_ops.engine.threads import LocalEngine
from landmark_ops.errors import InputError
from landmark_ops.methods.landmark_isomap import LandmarkIsomapMethod
from landmark_ops.passes.ranges import ranges
from landmark_ops.solver.asks import Source, solve_one
from tests.rows import ChunkedRows

ROLL = make_swiss_roll(600, random_state=0)[0]
DENSE_ROLL, ALONG = make_swiss_roll(1500, random_state=0)


@pytest.fixture(scope="module")
def exact() -> Isomap:
    return Isomap(n_neighbors=10, n_components=2).fit(DENSE_ROLL)


def test_with_every_row_a_landmark_it_is_isomap():
    theirs = Isomap(n_neighbors=8, n_components=2).fit_transform(ROLL)
    found = LandmarkIsomap(2, n_neighbors=8, n_landmarks=600).fit_transform(ROLL)
    assert procrustes(theirs, found)[2] < 1e-10
    np.testing.assert_allclose(np.abs(found).max(axis=0), np.abs(theirs).max(axis=0), rtol=1e-5)  # its size too


@pytest.mark.parametrize(("m", "bound"), [(10, 5e-4), (50, 1e-4), (200, 3e-5)])
def test_few_landmarks_come_close_to_isomap(exact, m, bound):
    found = LandmarkIsomap(2, n_landmarks=m, selection="maxmin", random_state=0).fit_transform(DENSE_ROLL)
    assert procrustes(exact.embedding_, found)[2] < bound


@pytest.mark.parametrize(("chunk", "step", "workers"), [(1, 600, 1), (7, 64, 3), (600, 1, 2), (100, 100, 2)])
def test_chunks_and_workers_change_nothing(chunk, step, workers):
    def solve(chunk: int, step: int, workers: int) -> np.ndarray:
        source = Source(
            ChunkedRows(ROLL, chunk), LocalEngine(workers), ranges(600, step), 0, landmark_indices=np.arange(0, 600, 15)
        )
        return solve_one(LandmarkIsomapMethod(3).solve(ROLL[::15], ROLL.dtype), source).map(ROLL)

    np.testing.assert_allclose(solve(chunk, step, workers), solve(50, 200, 1), atol=1e-9)


def test_rows_keep_their_coordinates_as_new_rows():
    estimator = LandmarkIsomap(2, n_landmarks=60, random_state=0)
    placed = estimator.fit_transform(ROLL)
    np.testing.assert_allclose(estimator.transform(ROLL[100:120]), placed[100:120], atol=1e-9)
    landmarks = estimator.landmark_embedding_
    np.testing.assert_allclose(estimator.transform(estimator.landmarks_), landmarks, atol=1e-4)  # float32 geodesics


def test_new_rows_go_where_isomap_puts_them(exact):
    """scikit-learn's transform takes the same shortest ways, to all rows where ours go to the landmarks."""
    new = make_swiss_roll(100, random_state=1)[0]
    found = LandmarkIsomap(2, n_landmarks=300, random_state=0).fit(DENSE_ROLL)
    theirs = np.vstack([exact.embedding_, exact.transform(new)])
    assert procrustes(theirs, found.transform(np.vstack([DENSE_ROLL, new])))[2] < 1e-4


def test_a_roll_is_unrolled_where_distances_fold_it():
    from scipy.stats import spearmanr

    unrolled = LandmarkIsomap(2, n_landmarks=100, random_state=0).fit_transform(DENSE_ROLL)
    folded = LandmarkMDS(2, n_landmarks=100, random_state=0).fit_transform(DENSE_ROLL)
    assert max(abs(spearmanr(ALONG, column)[0]) for column in unrolled.T) > 0.99
    assert max(abs(spearmanr(ALONG, column)[0]) for column in folded.T) < 0.6


def test_a_sampled_support_still_comes_close(exact):
    found = LandmarkIsomap(2, n_landmarks=50, n_neighbors=7, max_support=1000, random_state=0).fit_transform(DENSE_ROLL)
    assert procrustes(exact.embedding_, found)[2] < 5e-3


CLOUD = np.random.default_rng(0).normal(size=(160, 3))
APART = np.vstack([CLOUD[:100], CLOUD[100:] + 1000])


def test_a_graph_in_two_parts_is_refused_by_default():
    with pytest.raises(InputError, match=r"falls into 2 components of 100 and 60 rows: .* components: join"):
        LandmarkIsomap(2, n_landmarks=40, n_neighbors=5, random_state=0).fit(APART)


def test_parts_can_be_joined():
    placed = LandmarkIsomap(2, n_landmarks=40, n_neighbors=5, components="join", random_state=0).fit_transform(APART)
    assert np.isfinite(placed).all()
    gap = np.linalg.norm(placed[:100].mean(axis=0) - placed[100:].mean(axis=0))
    assert gap > 900


def test_or_the_largest_alone_placed():
    estimator = LandmarkIsomap(2, n_landmarks=40, n_neighbors=5, components="largest", random_state=0)
    placed = estimator.fit_transform(APART)
    assert np.isfinite(placed[:100]).all()
    assert np.isnan(placed[100:]).all()
    np.testing.assert_allclose(estimator.transform(APART), placed, atol=1e-6)  # as new rows they are where they were
    np.testing.assert_array_equal(np.isnan(estimator.transform(APART + 0.01)), np.isnan(placed))
    stored = LandmarkMap.from_state(*estimator.map_.to_state())
    np.testing.assert_array_equal(stored(APART), estimator.map_(APART))
    outside = estimator.landmark_indices_ >= 100
    assert outside.any()
    np.testing.assert_array_equal(np.isnan(estimator.landmark_embedding_).any(axis=1), outside)


def test_centres_are_no_rows():
    with pytest.raises(InputError, match="graph methods need landmarks that are rows of the source"):
        LandmarkIsomap(2, n_landmarks=20, selection="kmeans", random_state=0).fit(ROLL)


def test_fewer_rows_than_neighbours():
    with pytest.raises(InputError, match=r"n_neighbors=10 needs at least 11 rows .* there are 8"):
        LandmarkIsomap(1, n_landmarks=5, random_state=0).fit(ROLL[:8])

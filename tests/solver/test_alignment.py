from __future__ import annotations

import doctest

import numpy as np
import pytest

from landmark_ops import LandmarkDiffusionMap, LandmarkMDS, SpectralClustering, align_map
from landmark_ops.errors import InputError
from landmark_ops.methods.landmark_mds import LandmarkMDSMethod
from landmark_ops.selection.landmarks import Landmarks
from landmark_ops.solver import alignment
from landmark_ops.solver.alignment import MOVED, align_solution, grow_landmarks

X = np.random.default_rng(4).normal(size=(400, 4)) @ np.random.default_rng(5).normal(size=(4, 9))


def landmarks(indices: np.ndarray) -> Landmarks:
    return Landmarks(indices, X[indices], np.full(len(indices), 400 / len(indices)), f"{len(indices)} rows")


def test_a_map_aligned_to_itself_stays():
    fitted = LandmarkMDS(3, n_landmarks=40, random_state=0).fit(X).map_
    np.testing.assert_allclose(align_map(fitted, fitted)(X), fitted(X), atol=1e-9)


def test_a_turned_map_comes_back(rng):
    fitted = LandmarkMDS(3, n_landmarks=40, random_state=0).fit(X).map_
    turn, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    turned = fitted.rotated(turn, rng.normal(size=3))
    np.testing.assert_allclose(align_map(turned, fitted)(X), fitted(X), atol=1e-8)
    np.testing.assert_allclose(align_map(turned, fitted).place(X).residual, fitted.place(X).residual, atol=1e-7)


def test_scaled_maps_are_turned_without_a_shift():
    old = LandmarkDiffusionMap(3, n_landmarks=60, random_state=0).fit(X).map_
    new = LandmarkDiffusionMap(3, n_landmarks=120, random_state=1).fit(X).map_
    before, after = np.abs(new(X) - old(X)).mean(), np.abs(align_map(new, old)(X) - old(X)).mean()
    assert after <= before + 1e-12


def test_added_landmarks_move_nothing_on_data_of_low_rank():
    old = LandmarkMDSMethod(4).start(X[:20], X.dtype)
    grown = align_solution(LandmarkMDSMethod(4).start(X[:80], X.dtype), old.map)
    np.testing.assert_allclose(grown.map(X), old.map(X), atol=1e-8)
    np.testing.assert_allclose(grown.embedding[:20], old.embedding, atol=1e-8)
    assert grown.facts[MOVED] < 1e-8


def test_more_components_keep_the_old_ones_in_front():
    old = LandmarkMDSMethod(2).start(X[:80], X.dtype)
    more = align_solution(LandmarkMDSMethod(4).start(X[:80], X.dtype), old.map)
    np.testing.assert_allclose(more.map(X)[:, :2], old.map(X), atol=1e-8)


def test_labels_have_no_axes_and_fewer_components_no_room():
    clusters = SpectralClustering(3, n_landmarks=60, random_state=0).fit(X).map_
    plain = LandmarkMDS(3, n_landmarks=40, random_state=0).fit(X).map_
    with pytest.raises(InputError, match="this map ends in clusters"):
        align_map(clusters, plain)
    with pytest.raises(InputError, match="the old embedding has 3 components, the new map 2"):
        align_map(LandmarkMDS(2, n_landmarks=40, random_state=0).fit(X).map_, plain)


@pytest.mark.parametrize("shared", [0, 5, 20])
def test_old_landmarks_come_first_and_none_twice(shared):
    old = landmarks(np.arange(20))
    order = np.concatenate([np.arange(shared), np.arange(100, 400)])
    grown = grow_landmarks(old, lambda m: landmarks(order[:m]), 50)
    np.testing.assert_array_equal(grown.indices[:20], old.indices)
    assert len(set(grown.indices.tolist())) == len(grown.points) == 50
    assert grown.weights.sum() == pytest.approx(400)


def test_distinct_landmarks_may_run_out():
    old = landmarks(np.arange(20))
    with pytest.raises(InputError, match="only 30 distinct landmarks are found, 20 of them old"):
        grow_landmarks(old, lambda m: landmarks(np.arange(30)[:m]), 50)


def test_the_docstring_example():
    result = doctest.testmod(alignment)
    assert result.attempted > 0
    assert result.failed == 0

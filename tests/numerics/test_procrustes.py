from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import orthogonal_procrustes

from landmark_ops.errors import InputError
from landmark_ops.numerics.procrustes import procrustes


@given(k=st.integers(1, 5), seed=st.integers(0, 1000))
@settings(max_examples=30, deadline=None)
def test_a_moved_set_comes_back(k, seed):
    rng = np.random.default_rng(seed)
    Y = rng.normal(size=(30, k))
    rotation, _ = np.linalg.qr(rng.normal(size=(k, k)))
    moved = Y @ rotation + rng.normal(size=k)
    motion = procrustes(moved, Y)
    np.testing.assert_allclose(motion(moved), Y, atol=1e-10)
    assert motion.residual < 1e-10
    np.testing.assert_allclose(motion.rotation @ motion.rotation.T, np.eye(k), atol=1e-12)


def test_it_is_the_rotation_of_scipy(rng):
    A, B = rng.normal(size=(40, 3)), rng.normal(size=(40, 3))
    motion = procrustes(A, B, shift=False)
    np.testing.assert_allclose(motion.rotation, orthogonal_procrustes(A, B)[0], atol=1e-12)
    left = np.linalg.norm(A @ motion.rotation - B) / np.linalg.norm(B)
    assert motion.residual == pytest.approx(left)


def test_no_other_motion_fits_better(rng):
    A, B = rng.normal(size=(25, 2)), rng.normal(size=(25, 2))
    best = procrustes(A, B)

    def misfit(points):
        return ((points - B) ** 2).sum()

    for _ in range(200):
        turn, _ = np.linalg.qr(np.eye(2) + 0.1 * rng.normal(size=(2, 2)))
        assert misfit(best(A)) <= misfit((A - best.shift + 0.1 * rng.normal(size=2)) @ best.rotation @ turn) + 1e-12


def test_onto_itself_is_the_identity(rng):
    Y = rng.normal(size=(20, 3))
    motion = procrustes(Y, Y)
    np.testing.assert_allclose(motion.rotation, np.eye(3), atol=1e-12)
    np.testing.assert_allclose(motion.shift, 0, atol=1e-12)


def test_more_components_than_the_targets(rng):
    Y = rng.normal(size=(20, 2))
    turn, _ = np.linalg.qr(rng.normal(size=(4, 4)))
    motion = procrustes(np.pad(Y, ((0, 0), (0, 2))) @ turn, Y)
    np.testing.assert_allclose(motion(np.pad(Y, ((0, 0), (0, 2))) @ turn)[:, :2], Y, atol=1e-10)


@pytest.mark.parametrize(
    ("points", "targets", "match"),
    [
        (np.ones((3, 2)), np.ones((3, 3)), "targets have 3 components, points 2, and no motion adds"),
        (np.ones((3, 2)), np.ones((4, 2)), r"needs \(s, k\) and \(s, j\) with the same s"),
        (np.full((3, 2), np.nan), np.ones((3, 2)), "3 of 3 pairs hold NaN or Inf"),
    ],
)
def test_what_is_no_pair_of_sets(points, targets, match):
    with pytest.raises(InputError, match=match):
        procrustes(points, targets)

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.spatial.distance import pdist, squareform

from landmark_ops.numerics.eigen import Spectrum, double_center, fix_signs, symmetric_eigen

MATRICES = arrays(
    np.float64,
    st.tuples(st.integers(1, 8), st.integers(1, 5)),
    elements=st.floats(-10, 10, allow_subnormal=False),
)


def symmetric(rng: np.random.Generator, m: int) -> np.ndarray:
    A = rng.normal(size=(m, m))
    return A + A.T


@given(vectors=MATRICES, flips=st.lists(st.sampled_from([1.0, -1.0]), min_size=5, max_size=5))
def test_signs_do_not_depend_on_signs(vectors, flips):
    flipped = vectors * np.array(flips[: vectors.shape[1]])
    np.testing.assert_array_equal(fix_signs(flipped), fix_signs(vectors))


@given(vectors=MATRICES)
def test_signs_are_the_only_change(vectors):
    fixed = fix_signs(vectors)
    np.testing.assert_array_equal(np.abs(fixed), np.abs(vectors))
    np.testing.assert_array_equal(fix_signs(fixed), fixed)
    for column, before in zip(fixed.T, vectors.T, strict=True):
        assert np.array_equal(column, before) or np.array_equal(column, -before)
        assert column.max() >= np.abs(column).max() * (1 - 1e-6)


@given(seed=st.integers(0, 1000))
def test_signs_do_not_depend_on_the_order_of_rows(seed):
    """Where one entry is the largest; tied ones are decided by the first, so by the order."""
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(7, 4))
    order = rng.permutation(7)
    np.testing.assert_array_equal(fix_signs(vectors[order]), fix_signs(vectors)[order])


@pytest.mark.parametrize("noise", [0, 1e-16, -1e-16, 1e-9, -1e-9])
def test_rounding_does_not_flip_tied_entries(noise):
    vectors = np.array([[-0.5], [0.5 + noise], [0.1]])
    np.testing.assert_array_equal(fix_signs(vectors), -vectors)
    np.testing.assert_array_equal(fix_signs(-vectors), -vectors)


def test_a_clear_winner_decides():
    np.testing.assert_array_equal(fix_signs(np.array([[-0.5], [0.501]])), [[-0.5], [0.501]])


def test_signs_of_a_zero_column():
    np.testing.assert_array_equal(fix_signs(np.zeros((3, 2))), np.zeros((3, 2)))


@pytest.mark.parametrize("m", [1, 2, 7, 40])
def test_eigenpairs(rng, m):
    A = symmetric(rng, m)
    found = symmetric_eigen(A)
    assert (np.diff(found.values) <= 0).all()
    np.testing.assert_allclose(found.vectors * found.values @ found.vectors.T, A, atol=1e-12 * m)
    np.testing.assert_allclose(found.vectors.T @ found.vectors, np.eye(m), atol=1e-12)
    np.testing.assert_allclose(found.values, np.linalg.eigvalsh(A)[::-1], atol=1e-12 * m)


def test_eigenvectors_follow_a_permutation_of_the_rows(rng):
    """The same landmarks in another order give the same coordinates, signs included."""
    A = symmetric(rng, 9)
    order = rng.permutation(9)
    found, permuted = symmetric_eigen(A), symmetric_eigen(A[np.ix_(order, order)])
    np.testing.assert_allclose(permuted.values, found.values, atol=1e-12)
    np.testing.assert_allclose(permuted.vectors, found.vectors[order], atol=1e-10)


def test_only_the_symmetric_part_counts(rng):
    A, skew = symmetric(rng, 6), rng.normal(size=(6, 6))
    found = symmetric_eigen(A + skew - skew.T)
    np.testing.assert_allclose(found.values, symmetric_eigen(A).values, atol=1e-12)


@pytest.mark.parametrize(
    ("values", "cutoff", "rank"),
    [
        ([4.0, 1.0, 1e-5, -1.0], 1e-10, 3),
        ([4.0, 1.0, 1e-5, -1.0], 1e-3, 2),
        ([4.0, 4e-3], 1e-3, 1),  # strictly above
        ([0.0, 0.0], 1e-10, 0),
        ([-1.0, -2.0], 1e-10, 0),
        ([1.0], 1e-10, 1),
    ],
)
def test_rank(values, cutoff, rank):
    assert Spectrum(np.array(values), np.eye(len(values))).rank(cutoff) == rank


@given(values=st.lists(st.floats(0, 1e6, allow_subnormal=False), min_size=1, max_size=9), scale=st.floats(1e-6, 1e6))
def test_rank_does_not_depend_on_units(values, scale):
    ordered = np.array(sorted(values, reverse=True))
    clear = ordered[np.abs(ordered / max(ordered[0], 1e-300) - 1e-10) > 1e-12]  # rounding may move one on the cutoff
    if len(clear):
        spectrum = Spectrum(clear, np.eye(len(clear)))
        assert Spectrum(clear * scale, np.eye(len(clear))).rank(1e-10) == spectrum.rank(1e-10)


@pytest.mark.parametrize(
    ("values", "mass"), [([3.0, 1.0], 0.0), ([3.0, -1.0], 0.25), ([-2.0, -2.0], 1.0), ([0.0, 0.0], 0.0)]
)
def test_negative_mass(values, mass):
    assert Spectrum(np.array(values), np.eye(2)).negative_mass == mass


def test_double_centring_gives_inner_products(rng):
    """B = Xc Xc^T for squared Euclidean distances, whatever the origin."""
    X = rng.normal(size=(20, 4)) + 100
    centred = X - X.mean(axis=0)
    B = double_center(squareform(pdist(X, "sqeuclidean")))
    np.testing.assert_allclose(B, centred @ centred.T, atol=1e-9)


def test_double_centring_is_the_projection(rng):
    D = squareform(pdist(rng.normal(size=(9, 3)), "cityblock")) ** 2
    J = np.eye(9) - 1 / 9
    B = double_center(D)
    np.testing.assert_allclose(B, -0.5 * J @ D @ J, atol=1e-12)
    np.testing.assert_allclose(B.sum(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(B, B.T, atol=1e-12)
    np.testing.assert_allclose(np.add.outer(np.diag(B), np.diag(B)) - 2 * B, D, atol=1e-12)


def test_double_centring_ignores_added_row_and_column_terms(rng):
    D, a = squareform(pdist(rng.normal(size=(9, 3)), "sqeuclidean")), rng.normal(size=9)
    np.testing.assert_allclose(double_center(D + a[:, None] + a[None, :]), double_center(D), atol=1e-12)


def test_one_landmark_and_no_distance():
    assert double_center(np.zeros((1, 1))).tolist() == [[0.0]]
    found = symmetric_eigen(np.zeros((3, 3)))
    assert (found.rank(1e-10), found.negative_mass) == (0, 0.0)

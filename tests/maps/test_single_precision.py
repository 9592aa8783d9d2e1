"""Rows at any scale that float32 or float64 can hold: the answer is float64's, or NaN with a cause, never noise."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import cdist

from landmark_ops import InputError
from landmark_ops.maps.moments import gram
from landmark_ops.maps.precision import single_suffices
from landmark_ops.methods.landmark_mds import LandmarkMDSMethod
from landmark_ops.methods.nystroem import NystroemMethod
from landmark_ops.numerics.distances import euclidean, sq_euclidean, transform_rows
from landmark_ops.numerics.kernel import Kernel, KernelChoice, kernel_block, kernel_diagonal, resolve_kernel
from landmark_ops.numerics.metric import Metric, dists
from landmark_ops.numerics.ranges import exponent, largest, narrow

F32, F64 = np.dtype(np.float32), np.dtype(np.float64)
B = np.random.default_rng(5).normal(size=(160, 4))
SCALES = [1e-38, 1e-30, 1e-21, 1e-12, 1.0, 1e12, 1e19, 1e26, 1e37]


def close(found: np.ndarray, right: np.ndarray) -> None:
    np.testing.assert_allclose(found, right, rtol=0, atol=1e-5 * np.abs(right).max())


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("transform", ["unit", "center_unit"])
def test_directions_do_not_depend_on_scale(scale, transform):
    rows = (B * scale).astype(F32)
    right = transform_rows(rows.astype(F64) / scale, transform)
    found = transform_rows(rows, transform)
    assert found.dtype == F32
    np.testing.assert_allclose(found, right, atol=2e-7)


@pytest.mark.parametrize("scale", [1e-300, 1e-160, 1.0, 1e160, 1e300])
def test_directions_of_float64_rows_do_not_depend_on_scale(scale):
    np.testing.assert_allclose(transform_rows(B * scale, "unit"), transform_rows(B, "unit"), atol=1e-14)
    np.testing.assert_allclose(transform_rows(B * scale, "center_unit"), transform_rows(B, "center_unit"), atol=1e-13)


def test_rows_of_every_scale_stand_side_by_side():
    scales = np.array([1e-40, 1e-25, 1.0, 1e25, 1e37])
    rows = (np.tile(B[:1], (5, 1)) * scales[:, None]).astype(F32)
    right = rows.astype(F64) / np.linalg.norm(rows.astype(F64), axis=1)[:, None]
    np.testing.assert_allclose(transform_rows(rows, "unit"), right, atol=2e-7)


@given(value=st.floats(-1e6, 1e6, width=32), d=st.integers(2, 40))
def test_constant_rows_have_no_direction_whatever_rounding_does_to_their_mean(value, d):
    for dtype in (F32, F64):
        assert np.isnan(transform_rows(np.full((1, d), value, dtype), "center_unit")).all()


def test_small_variation_about_a_large_mean_is_a_direction():
    rows = np.array([[1e6, 1e6 + 0.0625, 1e6 - 0.0625], [4e6, 4e6 + 0.5, 4e6]], F32)
    found = transform_rows(rows, "center_unit")
    exact = rows.astype(F64) - rows.astype(F64).mean(axis=1)[:, None]
    np.testing.assert_allclose(found, exact / np.linalg.norm(exact, axis=1)[:, None], atol=1e-6)


@pytest.mark.parametrize("scale", SCALES)
def test_squared_distances_leave_float32_for_float64_where_they_must(scale):
    rows = (B * scale).astype(F32)
    found = sq_euclidean(rows, rows[:20])
    close(found, cdist(rows.astype(F64), rows[:20].astype(F64), "sqeuclidean"))
    assert found.dtype == (F32 if 1e-12 <= scale <= 1e12 else F64)


@pytest.mark.parametrize("scale", [1e-300, 1e-170, 1e-150, 1.0, 1e150, 1e170, 1e290])
def test_distances_are_right_where_their_squares_are_not(scale):
    right = cdist(B, B[:20]) * scale
    close(euclidean(B * scale, B[:20] * scale), right)
    close(dists(B * scale, B[:20] * scale, Metric("euclidean")), right)


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("name", ["rbf", "matern", "laplacian", "cosine", "linear", "polynomial", "sigmoid"])
def test_kernels_of_float32_rows_are_those_of_float64(name, scale):
    rows = (B * scale).astype(F32)
    kernel = resolve_kernel(name, rows, gamma=1 / scale**2 if name in ("polynomial", "sigmoid") else None)
    wide = rows.astype(F64)
    close(kernel_block(rows, rows[:9], kernel), kernel_block(wide, wide[:9], kernel))
    close(kernel_diagonal(rows, kernel), kernel_diagonal(wide, kernel))


def test_polynomials_of_large_rows():
    pixels = np.random.default_rng(0).integers(0, 256, (50, 64)).astype(np.uint8)
    kernel = Kernel("polynomial", 1 / 64, 10, 1.0)
    found = kernel_block(pixels.astype(F32), pixels[:7].astype(F32), kernel)
    wide = pixels.astype(F64)
    np.testing.assert_allclose(found, (wide @ wide[:7].T / 64 + 1) ** 10, rtol=1e-6)


@pytest.mark.parametrize("scale", [1e-170, 1e170])
def test_a_bandwidth_beyond_float64_is_refused(scale):
    with pytest.raises(InputError, match=r"kernel rbf: the median distance .* beyond float64: multiply the rows"):
        resolve_kernel("rbf", B * scale)


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize(
    "method",
    [
        LandmarkMDSMethod(3),
        LandmarkMDSMethod(3, "cosine"),
        LandmarkMDSMethod(3, "correlation"),
        LandmarkMDSMethod(3, "cityblock"),
        LandmarkMDSMethod(3, "chebyshev"),
        NystroemMethod(4),
        NystroemMethod(4, KernelChoice("matern")),
        NystroemMethod(4, KernelChoice("laplacian")),
        NystroemMethod(3, KernelChoice("linear")),
        NystroemMethod(3, KernelChoice("cosine")),
    ],
    ids=lambda method: getattr(method, "metric", None) or method.kernel,
)
def test_maps_place_float32_rows_as_float64(method, scale):
    rows = (B * scale).astype(F32)
    fitted = method.start(rows[:60], F32).map
    close(fitted(rows), fitted(rows.astype(F64)))
    assert fitted(rows).dtype == F32
    assert len(np.unique(fitted(rows), axis=0)) > 150


@pytest.mark.parametrize("offset", [0, 1e2, 1e4, 1e6])
@pytest.mark.parametrize(
    "method",
    [
        LandmarkMDSMethod(2),
        LandmarkMDSMethod(2, "cosine"),
        NystroemMethod(3),
        NystroemMethod(3, KernelChoice("matern")),
    ],
)
def test_a_small_spread_about_a_large_offset(method, offset):
    rows = (B + offset).astype(F32)
    fitted = method.start(rows[:60], F32).map
    close(fitted(rows), fitted(rows.astype(F64)))


def test_single_rows_far_from_all_landmarks_are_placed_as_float64_would():
    rows = B.astype(F32)
    for method in (
        LandmarkMDSMethod(3),
        NystroemMethod(4, KernelChoice("linear")),
        NystroemMethod(4, KernelChoice("matern")),
        NystroemMethod(4),
    ):
        fitted = method.start(rows[:60], F32).map
        assert single_suffices(fitted)
        far = rows.copy()
        far[[3, 70]] *= np.float32(1e25)
        found, right = fitted.place(far), fitted.place(far.astype(F64))
        np.testing.assert_allclose(found.embedding, right.embedding, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(found.residual[[3, 70]], right.residual[[3, 70]], rtol=1e-4)


def test_coordinates_that_float32_cannot_hold_are_undefined_and_not_infinite():
    fitted = LandmarkMDSMethod(1).start(B[:60].astype(F32), F32).map
    far = np.full((1, 4), 3e38, F32)
    found = fitted(far)
    assert np.isnan(found).all() or np.isfinite(found).all()
    assert np.isnan(narrow(np.array([1e39, 1.0]), F32)).tolist() == [True, False]


def test_second_moments_beyond_float32():
    F = (B * 1e25).astype(F32)
    np.testing.assert_allclose(gram(F), F.astype(F64).T @ F.astype(F64), rtol=1e-12)


@given(st.floats(allow_nan=False, allow_infinity=False, min_value=0))
def test_dividing_by_the_power_of_two_leaves_numbers_below_one(value):
    scaled = np.ldexp(value, -exponent(value))
    assert scaled == 0 or 0.5 <= scaled < 1


def test_the_largest_finite_value():
    assert largest(np.array([1.0, -3.0, np.nan, np.inf])) == 3
    assert largest(np.empty((0, 3))) == 0

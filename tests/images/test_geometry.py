"""Affine maps: exact round trips, composition, and the definitions of letterbox, stretch and crop."""

from __future__ import annotations

import math
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from landmark_ops.errors import InputError
from landmark_ops.images.geometry import Affine, crop, letterbox, stretch

sides = st.integers(1, 5000)
angles = st.floats(-7, 7)
positions = st.floats(-3000, 3000)
lengths = st.floats(0.5, 4000)


@st.composite
def crops(draw):
    centre = (draw(positions), draw(positions))
    return crop(
        centre, draw(lengths), draw(lengths), draw(angles), draw(st.integers(1, 512)), draw(st.integers(1, 512))
    )


points = st.lists(st.tuples(positions, positions), min_size=1, max_size=5).map(np.array)


@given(crops(), points)
def test_the_inverse_brings_points_back(affine, found):
    np.testing.assert_allclose(affine.inverse().apply(affine.apply(found)), found, rtol=0, atol=1e-8)
    np.testing.assert_allclose(affine.inverse().inverse().matrix, affine.matrix, rtol=1e-9, atol=1e-7)


@given(crops(), crops(), points)
def test_composing_is_applying_one_after_the_other(second, first, found):
    np.testing.assert_allclose(
        second.compose(first).apply(found), second.apply(first.apply(found)), rtol=1e-9, atol=1e-5
    )


@given(sides, sides, st.integers(1, 1000), st.integers(1, 1000), st.booleans())
def test_a_letterbox_fits_whole_pixels_and_keeps_the_shape(width, height, target_w, target_h, centre):
    affine = letterbox(width, height, target_w, target_h, centre=centre)
    (x0, y0), (x1, y1) = affine.apply([[-0.5, -0.5], [width - 0.5, height - 0.5]]) + 0.5
    edges = np.array([x0, y0, x1, y1])
    np.testing.assert_allclose(edges, np.rint(edges), atol=1e-9)
    assert -1e-9 <= x0 <= x1 <= target_w + 1e-9
    assert -1e-9 <= y0 <= y1 <= target_h + 1e-9
    if centre:
        assert abs(x0 - (target_w - x1)) <= 1 + 1e-9
        assert abs(y0 - (target_h - y1)) <= 1 + 1e-9
    else:
        assert (abs(x0), abs(y0)) < (1e-9, 1e-9)
    r = min(target_w / width, target_h / height)
    assert abs((x1 - x0) - max(width * r, 1)) <= 0.5 + 1e-9
    assert abs((y1 - y0) - max(height * r, 1)) <= 0.5 + 1e-9


def test_a_letterbox_of_a_720p_frame():
    affine = letterbox(1280, 720, 640, 640, centre=True)
    np.testing.assert_array_equal(affine.matrix, [[0.5, 0, -0.25], [0, 0.5, 139.75]])
    np.testing.assert_array_equal(letterbox(1280, 720, 640, 640, centre=False).matrix[:, 2], [-0.25, -0.25])


def test_stretch_maps_edges_to_edges():
    corners = stretch(1280, 720, 320, 240).apply([[-0.5, -0.5], [1279.5, 719.5]])
    np.testing.assert_allclose(corners, [[-0.5, -0.5], [319.5, 239.5]], atol=1e-12)


@given(crops())
def test_a_crop_maps_its_rectangle_to_the_target(affine):
    assert np.isfinite(affine.matrix).all()


def test_a_crop_follows_its_definition():
    """p = c + R(θ)·((u + ½)/target - ½)·sides, the inverse formula of MediaPipe's regions."""
    centre, sides, angle, target = np.array([300.25, 200.75]), np.array([120.0, 80.0]), 0.7, np.array([192, 128])
    affine = crop(centre, *sides, angle, *target)
    u = np.array([[0, 0], [191, 0], [95.5, 63.5], [10, 100]])
    rotation = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    expected = centre + (((u + 0.5) / target - 0.5) * sides) @ rotation.T
    np.testing.assert_allclose(affine.inverse().apply(u), expected, atol=1e-10)
    np.testing.assert_allclose(affine.apply(expected), u, atol=1e-10)


def test_a_crop_without_rotation_is_the_stretch_of_its_box():
    np.testing.assert_allclose(
        crop((639.5, 359.5), 1280, 720, 0, 320, 240).matrix, stretch(1280, 720, 320, 240).matrix, atol=1e-12
    )


def test_scale_is_the_root_of_the_area_ratio():
    assert crop((5, 5), 100, 50, 1.0, 200, 100).scale == pytest.approx(2)
    assert stretch(10, 10, 40, 10).scale == pytest.approx(2)


def test_points_keep_their_shape_and_nan():
    affine = crop((5, 5), 10, 10, 0.3, 20, 20)
    values = np.full((2, 3, 2), np.nan)
    values[0, 0] = 5, 5
    out = affine.apply(values)
    assert out.shape == (2, 3, 2)
    np.testing.assert_allclose(out[0, 0], [9.5, 9.5])
    assert np.isnan(out[1]).all()
    assert affine.apply(np.empty((0, 2))).shape == (0, 2)


def test_one_point_maps_as_in_a_thousand(rng):
    affine, many = crop((5, 5), 10, 10, 0.3, 20, 20), rng.normal(size=(1000, 2))
    np.testing.assert_array_equal(affine.apply(many), np.array([affine.apply(point) for point in many]))


def test_maps_are_immutable_and_travel():
    affine = crop((5, 5), 10, 10, 0.3, 20, 20)
    with pytest.raises(ValueError, match="read-only"):
        affine.matrix[0, 0] = 1
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(affine)).matrix, affine.matrix)


@pytest.mark.parametrize("sides", [(0, 5), (5, -1), (math.nan, 5), (5, math.inf)])
def test_a_crop_without_area_is_refused(sides):
    with pytest.raises(InputError, match="must be finite and above zero"):
        crop((0, 0), *sides, 0, 10, 10)


def test_singular_and_malformed_maps_are_refused():
    with pytest.raises(InputError, match="is singular"):
        Affine([[1, 2, 0], [2, 4, 0]]).inverse()
    with pytest.raises(InputError, match=r"got shape \(2, 2\)"):
        Affine([[1, 0], [0, 1]])
    with pytest.raises(InputError, match="finite"):
        crop((math.nan, 0), 5, 5, 0, 10, 10)

"""Warps: positions to a fraction of a pixel, areas when minifying, borders, and the same bits alone or in a batch."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from landmark_ops.errors import InputError
from landmark_ops.images.geometry import Affine, crop, letterbox, stretch
from landmark_ops.images.resample import resize, warp_into
from tests.images.warped import warp

IDENTITY = Affine([[1, 0, 0], [0, 1, 0]])
#: Added to a map, it takes the general path.
SKEW = np.array([[0, 1e-9, 0], [0, 0, 0]])


def dots(centres, sigma, width, height):
    """Gaussian dots of the given sub-pixel centres, as (h, w, 3) uint8."""
    y, x = np.mgrid[:height, :width].astype(float)
    light = sum(np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / (2 * sigma**2)) for cx, cy in centres)
    return np.repeat(np.rint(np.clip(250 * light, 0, 255)).astype(np.uint8)[..., None], 3, axis=2)


def recover(image, near, radius):
    """Centre of mass of the one dot near a position."""
    light = image[..., 1].astype(float)
    y, x = np.mgrid[: light.shape[0], : light.shape[1]]
    light[np.hypot(x - near[0], y - near[1]) > radius] = 0
    return np.array([(light * x).sum(), (light * y).sum()]) / light.sum()


@settings(max_examples=60, deadline=None)
@given(st.floats(0.3, 3), st.floats(-math.pi, math.pi), st.floats(-0.5, 0.5), st.floats(-0.5, 0.5))
def test_dots_are_found_where_they_were(scale, angle, dx, dy):
    centres = np.array([[80.3, 70.7], [130.9, 66.2], [99.5, 120.1]]) + np.array([dx, dy])
    sigma = 4.0
    image = dots(centres, sigma, 200, 190)
    side = round(180 * scale)
    affine = crop((101.3, 88.8), side / scale, side / scale, angle, side, side)
    out = warp(image, affine, (side, side))
    radius = 4.5 * sigma * scale
    found = np.array([recover(out, near, radius) for near in affine.apply(centres)])
    # Twentieths of a pixel of the coarser picture: a shrunk dot of 8 bits tells no more.
    assert np.abs(affine.inverse().apply(found) - centres).max() < 0.05 / min(scale, 1)


@pytest.mark.parametrize("centre", [True, False])
@pytest.mark.parametrize("target", [(640, 640), (123, 301), (90, 64), (33, 57)])
def test_a_letterboxed_dot_is_found_where_it_was(target, centre):
    image = dots([[150.3, 98.6]], 16.0, 301, 211)
    affine = letterbox(301, 211, *target, centre=centre)
    out = warp(image, affine, target)
    found = recover(out, affine.apply([150.3, 98.6]), 70 * affine.scale)
    assert np.abs(affine.inverse().apply(found) - [150.3, 98.6]).max() < 0.05


def test_identity_and_whole_pixel_shifts_are_exact(rng):
    image = rng.integers(0, 256, (50, 60, 3), np.uint8)
    np.testing.assert_array_equal(warp(image, IDENTITY, (60, 50)), image)
    shifted = warp(image, Affine([[1, 0, -7], [0, 1, 4]]), (60, 50), fill=(9, 8, 7))
    np.testing.assert_array_equal(shifted[4:, :53], image[:46, 7:])
    assert (shifted[:4] == [9, 8, 7]).all()
    assert (shifted[:, 53:] == [9, 8, 7]).all()


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_quarter_turns_are_exact(rng, turns):
    image = rng.integers(0, 256, (40, 40, 3), np.uint8)
    out = warp(image, crop((19.5, 19.5), 40, 40, turns * math.pi / 2, 40, 40), (40, 40))
    np.testing.assert_array_equal(out, np.rot90(image, turns))


def test_positions_are_not_rounded_to_a_grid():
    """OpenCV's uint8 warp would place a shift of 1/80 pixel at 0."""
    image = np.repeat(np.tile(np.arange(0, 250, 5, dtype=np.uint8), (20, 1))[..., None], 3, axis=2)
    means = [warp(image, Affine([[1, 0, -shift], [0, 1, 0.25]]), (50, 20))[5:15, 5:45].mean() for shift in (0, 0.11)]
    assert means[1] - means[0] == pytest.approx(1)  # 5 · 0.11 = 0.55 rounds up to one level
    assert warp(image, Affine([[1, 0, -0.09], [0, 1, 0]]), (50, 20))[5:15, 5:45].mean() == means[0]


def test_stretch_agrees_with_opencv_and_with_the_general_path(rng):
    image = cv2.GaussianBlur(rng.integers(0, 256, (90, 120, 3), np.uint8), (0, 0), 2)
    for size in [(160, 100), (119, 77), (240, 180), (61, 46)]:
        affine = stretch(120, 90, *size)
        out = warp(image, affine, size)
        expected = cv2.resize(image, size, interpolation=cv2.INTER_LINEAR)
        np.testing.assert_array_equal(out, expected)
        nudged = Affine(affine.matrix + SKEW)
        assert np.abs(warp(image, nudged, size).astype(int) - expected).max() <= 1


@pytest.mark.parametrize("factor", [2, 3, 4, 5, 8, 11])
@pytest.mark.parametrize("angle", [0.0, 0.4])
def test_fine_stripes_average_out(factor, angle):
    """Sampling every few pixels would show stripes of one pixel as large bands."""
    image = np.zeros((264, 264, 3), np.uint8)
    image[:, ::2] = 255
    side = 264 // factor
    out = warp(image, crop((131.5, 131.5), side * factor, side * factor, angle, side, side), (side, side))
    inner = out[side // 4 : -side // 4, side // 4 : -side // 4]
    # the true mean over an odd number of stripes still differs by one stripe
    assert np.ptp(inner) <= (255 / factor + 2 if factor % 2 else 2)
    assert abs(inner.mean() - 127.5) < 3


def test_antialiasing_can_be_left_out():
    image = np.zeros((64, 64, 3), np.uint8)
    image[:, 1::4] = image[:, 2::4] = 255  # what bilinear sampling every fourth pixel sees
    for angle in (0.0, 1e-9):
        affine = crop((31.5, 31.5), 64, 64, angle, 16, 16)
        assert warp(image, affine, (16, 16), antialias=False).min() == 255
        assert np.abs(warp(image, affine, (16, 16)).astype(int) - 127.5).max() <= 1


def test_minifying_by_a_whole_factor_is_the_mean(rng):
    image = rng.integers(0, 256, (64, 96, 3), np.uint8)
    expected = image.reshape(16, 4, 24, 4, 3).mean((1, 3))
    assert np.abs(warp(image, stretch(96, 64, 24, 16), (24, 16)) - expected).max() <= 1
    crooked = Affine(stretch(96, 64, 24, 16).matrix + SKEW)
    assert np.abs(warp(image, crooked, (24, 16)) - expected).max() <= 1


def test_the_fill_covers_what_lies_outside_and_nothing_else():
    image = np.full((30, 40, 3), 200, np.uint8)
    affine = crop((0, 0), 30, 30, 0.3, 64, 64)
    out = warp(image, affine, (64, 64), fill=(1, 2, 3))
    u, v = np.meshgrid(np.arange(64), np.arange(64))
    x, y = np.moveaxis(affine.inverse().apply(np.stack([u, v], -1)), -1, 0)
    inside = (x >= -0.5) & (x <= 39.5) & (y >= -0.5) & (y <= 29.5)
    np.testing.assert_array_equal(out[inside], 200)
    np.testing.assert_array_equal(out[~inside], np.broadcast_to([1, 2, 3], out[~inside].shape))


def test_a_crop_beside_the_picture_is_all_fill():
    image = np.full((30, 40, 3), 200, np.uint8)
    assert (warp(image, crop((500, 500), 30, 30, 0.3, 16, 16), (16, 16), fill=(5, 6, 7)) == [5, 6, 7]).all()
    assert (warp(image, crop((-1e12, 0), 30, 30, 0, 16, 16), (16, 16)) == 0).all()


@pytest.mark.parametrize("shape", [(1, 1), (1, 50), (50, 1), (2, 3)])
def test_the_smallest_pictures_can_be_cropped(shape):
    image = np.full((*shape, 3), 77, np.uint8)
    size = (24, 16)
    assert (warp(image, stretch(shape[1], shape[0], *size), size) == 77).all()
    assert warp(image, crop((0, 0), 4, 4, 0.5, *size), size).max() == 77
    assert warp(image, letterbox(shape[1], shape[0], *size, centre=True), size).max() == 77


def test_a_picture_wider_than_opencv_warps():
    image = np.zeros((4, 40_000, 3), np.uint8)
    image[:, 35_000:35_100] = 255
    out = warp(image, crop((35_050, 1.5), 200, 4, 0.0001, 100, 4), (100, 4))
    assert out[:, 26:74].min() == 255
    assert out[:, :24].max() == 0


def test_a_batch_is_bit_for_bit_its_crops(rng):
    images = [rng.integers(0, 256, (rng.integers(20, 90), rng.integers(20, 90), 3), np.uint8) for _ in range(12)]
    affines = [crop(rng.uniform(0, 60, 2), *rng.uniform(5, 300, 2), rng.uniform(-3, 3), 48, 32) for _ in range(6)] + [
        letterbox(image.shape[1], image.shape[0], 48, 32, centre=True) for image in images[6:]
    ]
    together = np.empty((12, 32, 48, 3), np.uint8)
    for target, image, affine in zip(together, images, affines, strict=True):
        warp_into(target, image, affine, fill=(3, 4, 5))
    for out, image, affine in zip(together, images, affines, strict=True):
        np.testing.assert_array_equal(out, warp(image, affine, (48, 32), fill=(3, 4, 5)))


def test_threads_do_not_change_the_bits(rng):
    image = rng.integers(0, 256, (600, 800, 3), np.uint8)
    affines = [crop((400, 300), 700, 700, 0.3, 256, 256), letterbox(800, 600, 256, 256, centre=True)]
    before = cv2.getNumThreads()
    try:
        found = []
        for threads in (1, 4):
            cv2.setNumThreads(threads)
            found.append([warp(image, affine, (256, 256)) for affine in affines])
    finally:
        cv2.setNumThreads(before)
    np.testing.assert_array_equal(*found)


def test_views_and_readonly_pictures_are_taken(rng):
    image = rng.integers(0, 256, (50, 60, 3), np.uint8)
    expected = warp(np.ascontiguousarray(image[::-1, 5:]), crop((20, 20), 30, 30, 0.2, 32, 32), (32, 32))
    image.setflags(write=False)
    np.testing.assert_array_equal(warp(image[::-1, 5:], crop((20, 20), 30, 30, 0.2, 32, 32), (32, 32)), expected)
    assert resize(image, 60, 50) is image


@pytest.mark.parametrize(
    "image",
    [np.zeros((5, 5), np.uint8), np.zeros((5, 5, 4), np.uint8), np.zeros((5, 5, 3)), np.zeros((0, 5, 3), np.uint8)],
)
def test_only_rgb_bytes_are_pictures(image):
    with pytest.raises(InputError, match=r"must be \(H, W, 3\) uint8 RGB"):
        warp(image, IDENTITY, (5, 5))

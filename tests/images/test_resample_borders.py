"""Pixels outside a picture: its nearest colour, against a padded picture; OpenCV's own warp, against OpenCV's."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from landmark_ops.detectors.crops import inputs
from landmark_ops.detectors.spec import InputSpec
from landmark_ops.images.geometry import Affine, crop
from landmark_ops.images.resample import warp_into, warp_plain
from tests.images.warped import warp

Picture = NDArray[np.uint8]
PAD = 200


@pytest.fixture
def picture(rng: np.random.Generator) -> Picture:
    coarse = rng.integers(0, 256, (12, 16, 3), dtype=np.uint8)
    return np.asarray(cv2.resize(coarse, (120, 90), interpolation=cv2.INTER_CUBIC), np.uint8)


def padded(picture: Picture) -> Picture:
    return np.asarray(cv2.copyMakeBorder(picture, PAD, PAD, PAD, PAD, cv2.BORDER_REPLICATE), np.uint8)


REGIONS = [
    ((60.0, 45.0), 300.0, 0.4),  # the picture and all around it
    ((0.0, 0.0), 80.0, -1.1),
    ((119.0, 89.0), 33.0, 0.0),
    ((60.0, -150.0), 40.0, 0.2),  # beside it: its edge alone
    ((-130.0, -120.0), 50.0, 0.0),  # beside its corner
    ((60.0, 45.0), 20.0, 0.3),  # within
    ((59.5, 44.5), 120.0, 0.0),  # whole pixels
]


@pytest.mark.parametrize(("centre", "side", "angle"), REGIONS)
@pytest.mark.parametrize("antialias", [True, False])
def test_the_nearest_colour_goes_on(
    picture: Picture, centre: tuple[float, float], side: float, angle: float, antialias: bool
) -> None:
    to_crop = crop(centre, side, side, angle, 64, 64)
    out = np.empty((64, 64, 3), np.uint8)
    warp_into(out, picture, to_crop, fill=None, antialias=antialias)
    wide = to_crop.compose(Affine([[1, 0, -PAD], [0, 1, -PAD]]))
    expected = warp(padded(picture), wide, (64, 64), antialias=antialias)
    assert np.abs(out.astype(int) - expected).max() <= (6 if antialias else 1)  # halvings start at another pixel


@pytest.mark.parametrize(("centre", "side", "angle"), REGIONS)
@pytest.mark.parametrize("replicate", [True, False])
def test_the_plain_warp_is_opencvs_on_the_whole_picture(
    picture: Picture, centre: tuple[float, float], side: float, angle: float, replicate: bool
) -> None:
    to_crop = crop(centre, side, side, angle, 48, 64)
    out = np.empty((64, 48, 3), np.uint8)
    warp_plain(out, picture, to_crop, replicate=replicate)
    border = cv2.BORDER_REPLICATE if replicate else cv2.BORDER_CONSTANT
    expected = cv2.warpAffine(picture, to_crop.matrix, (48, 64), flags=cv2.INTER_LINEAR, borderMode=border)
    assert np.abs(out.astype(int) - expected).max() <= 2


def test_a_single_pixel_fills_everything_or_fades() -> None:
    dot = np.full((1, 1, 3), 200, np.uint8)
    out = np.empty((8, 8, 3), np.uint8)
    warp_into(out, dot, crop((5, 5), 9, 9, 0.7, 8, 8), fill=None)
    assert (out == 200).all()
    warp_plain(out, dot, crop((0, 0), 4, 4, 0, 8, 8), replicate=False)
    assert out.max() > 100
    assert out.min() == 0
    warp_plain(out, dot, crop((50, 0), 4, 4, 0, 8, 8), replicate=False)
    assert not out.any()


def test_a_spec_says_what_lies_beyond_and_which_grid() -> None:
    """An exact grid shows what lies at the middle of a crop's pixel, MediaPipe's what lies at its corner."""
    half = crop((31.5, 31.5), 64, 64, 0.0, 32, 32)  # two source pixels to one of the crop
    ramp = np.repeat(np.repeat(np.arange(64, dtype=np.uint8)[None, :, None] * 3, 64, 0), 3, 2)
    for sampling, first in (("exact", 1.5), ("mediapipe", 0.0)):  # middles of pixels 0 and 1; pixel 0
        wanted = InputSpec(width=32, height=32, fit="crop", border="replicate", sampling=sampling)
        (out,) = inputs([ramp], [half], (32, 32), wanted, {"bilinear_up_to": 6})
        np.testing.assert_allclose(out[5, :, 0], first + 6 * np.arange(32), atol=0.6)
    beyond = crop((-31.5, 31.5), 64, 64, 0.0, 32, 32)
    for border, colour in (("black", 0), ("replicate", 77)):
        wanted = InputSpec(width=32, height=32, fit="crop", border=border)
        (out,) = inputs([np.full((64, 64, 3), 77, np.uint8)], [beyond], (32, 32), wanted, {})
        assert out[16, 4].tolist() == [colour] * 3


@pytest.mark.parametrize("changed", [{"fit": "stretch"}, {"width": None, "height": None}, {"fit": "pad"}])
def test_mediapipes_grid_needs_its_fits(changed: dict[str, object]) -> None:
    base = {"width": 32, "height": 32, "fit": "crop", "sampling": "mediapipe"}
    with pytest.raises(ValueError, match="sampling: mediapipe needs a fixed width and height"):
        InputSpec.model_validate(base | changed)


def test_the_plain_warp_averages_when_told() -> None:
    board = (np.indices((256, 256)).sum(0) % 2 * 255).astype(np.uint8)
    image = np.repeat(board[..., None], 3, axis=2)
    out = np.empty((16, 16, 3), np.uint8)
    shrunk = crop((127.5, 127.5), 256, 256, 0.0, 16, 16)
    warp_plain(out, image, shrunk, replicate=True, antialias=True)
    assert np.abs(out.astype(int) - 128).max() <= 2
    ramp = np.repeat(np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 256, 0), 3, 2)
    warp_plain(out, ramp, shrunk, replicate=True, antialias=True)
    np.testing.assert_allclose(out[8, :, 0], 7.5 + 16 * np.arange(16), atol=1)

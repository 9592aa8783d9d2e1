from __future__ import annotations

import numpy as np
import pytest

from landmark_ops.errors import InputError
from landmark_ops.keypoints.drawing import Drawn, colour_of, overlay, sheet
from landmark_ops.keypoints.landmark_sets import landmark_set


def grey(height: int = 200, width: int = 300) -> np.ndarray:
    return np.full((height, width, 3), 90, np.uint8)


def test_points_are_drawn_where_they_are_and_the_image_is_left_alone() -> None:
    image = grey()
    points = np.array([[60, 40], [120, 40], [90, 70], [70, 100], [110, 100]], float)
    drawn = overlay(image, [Drawn(points, np.array([40, 20, 140, 120]))], landmark_set("face-5"))
    assert (image == 90).all()
    assert drawn.shape == image.shape
    for x, y in points.astype(int):
        assert tuple(drawn[y, x]) == colour_of(0)
    assert (drawn[150:, 200:] == 90).all()


def test_coordinates_of_a_smaller_decode_are_scaled_about_pixel_centres() -> None:
    drawn = overlay(grey(100, 100), [Drawn(np.array([[80.5, 80.5], [120.5, 120.5]]))], scale=0.5)
    changed = np.argwhere((drawn != 90).any(2))
    np.testing.assert_allclose(changed.mean(0), [50, 50], atol=0.5)


def test_missing_and_far_away_points_are_left_out() -> None:
    points = np.array([[np.nan, np.nan], [1e12, 5], [50, 50], [80, 50], [60, np.inf]])
    drawn = overlay(grey(), [Drawn(points, np.array([40, 40, 90, 90]))], landmark_set("face-5"))
    assert (drawn != 90).any()
    nothing = overlay(grey(), [Drawn(np.full((5, 2), np.nan))], landmark_set("face-5"))
    assert (nothing == 90).all()


def test_sizes_follow_the_instance() -> None:
    def painted(side: float) -> int:
        box = np.array([10, 10, 10 + side, 10 + side])
        points = np.linspace([12, 12], [8 + side, 8 + side], 5)
        return int((overlay(grey(900, 900), [Drawn(points, box)]) != 90).any(2).sum())

    assert painted(800) > 12 * painted(80)


def test_points_of_another_set_are_refused() -> None:
    with pytest.raises(InputError, match="17 keypoints given, face-5 has 5"):
        overlay(grey(), [Drawn(np.ones((17, 2)))], landmark_set("face-5"))


def test_sheets_hold_every_picture() -> None:
    pictures = [np.full((50, 100, 3), value, np.uint8) for value in (10, 60, 120)]
    page = sheet(pictures, ["a", "naïve-日本.jpg", "x" * 200], columns=2, cell=(100, 100))
    assert all((page == value).all(2).sum() >= 4000 for value in (10, 60, 120))
    assert sheet([]).ndim == 3

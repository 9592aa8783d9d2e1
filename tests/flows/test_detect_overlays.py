"""The sample of overlays: chosen by the image id alone, drawn late, and bounded in memory meanwhile."""

from __future__ import annotations

import hashlib

import cv2
import numpy as np
import pytest

from flows.detect import overlays
from flows.detect.overlays import MAX_WAITING, OVERLAY_SIDE, Overlays, Waiting
from landmark_ops.detectors.instances import Instances, unknown
from landmark_ops.images.decode import Decoded
from landmark_ops.keypoints.landmark_sets import landmark_set


def found(n: int = 1) -> Instances:
    boxes = np.tile([20.0, 20, 80, 80], (n, 1))
    points = np.tile(np.linspace(30, 70, 68)[:, None], (n, 1, 3))
    return Instances(boxes, np.ones(n), points, unknown(n, 68), unknown(n, 68), {}, ("net",))


def picture(side: int = 100) -> Decoded:
    return Decoded(np.full((side, side, 3), 90, np.uint8), side, side, 1.0)


def draw_of(name: str) -> int:
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big")


@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize("wanted", [5, MAX_WAITING + 9])
def test_the_lowest_draws_are_kept_in_any_order(order: int, wanted: int) -> None:
    names = [f"{i}.jpg" for i in range(80)]
    sample = Overlays(landmark_set("face-68"), wanted)
    for name in names[::order]:
        sample.offer(name, picture(), found())
        assert sum(isinstance(kept, Waiting) for kept in sample._kept) <= MAX_WAITING
    assert [one.caption for one in sample.pictures()] == sorted(names, key=draw_of)[:wanted]


def test_only_what_is_kept_is_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[int] = []
    monkeypatch.setattr(overlays, "overlay", lambda image, *_, **__: drawn.append(1) or image)
    sample = Overlays(landmark_set("face-68"), 4)
    for i in range(60):
        sample.offer(f"{i}.jpg", picture(), found())
    assert drawn == []
    assert len(sample.pictures()) == len(drawn) == 4


def test_without_instances_or_a_sample_nothing_is_kept() -> None:
    sample, none = Overlays(landmark_set("face-68"), 4), Overlays(landmark_set("face-68"), 0)
    sample.offer("a.jpg", picture(), found(0))
    none.offer("a.jpg", picture(), found())
    assert sample.pictures() == none.pictures() == []


def test_a_large_picture_waits_small_and_its_points_stay_in_place() -> None:
    side = 4 * OVERLAY_SIDE
    large = Decoded(np.zeros((side, side, 3), np.uint8), 2 * side, 2 * side, 0.5)  # a JPEG decoded at one half
    sample = Overlays(landmark_set("face-68"), 1)
    instances = found()
    sample.offer("a.jpg", large, instances._replace(boxes=np.array([[2000.0, 2000, 6000, 6000]])))
    (waiting,) = sample._kept
    assert isinstance(waiting, Waiting)
    assert waiting.image.shape == (OVERLAY_SIDE, OVERLAY_SIDE, 3)
    assert waiting.scale == pytest.approx(1 / 8)
    (drawn,) = sample.pictures()
    shown = cv2.imdecode(np.frombuffer(drawn.jpeg, np.uint8), cv2.IMREAD_GRAYSCALE)
    left = np.flatnonzero(shown[500] > 100)[0]  # the bright edge of the box
    assert abs(left - 2000 / 8) <= 6


def test_what_waits_does_not_hold_on_to_a_larger_array() -> None:
    batch = np.zeros((16, 100, 100, 3), np.uint8)
    sample = Overlays(landmark_set("face-68"), 1)
    sample.offer("a.jpg", Decoded(batch[3], 100, 100, 1.0), found())
    (waiting,) = sample._kept
    assert isinstance(waiting, Waiting)
    assert not np.shares_memory(waiting.image, batch)

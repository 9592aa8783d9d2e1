"""MediaPipe's own graphs as the reference: `mediapipe.json` holds what they gave for cuts of the shared pictures.

Its cuts are such that most bodies leave the frame, where a net reacts to the border and to half a pixel.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from landmark_ops.detectors.instances import Instances
from landmark_ops.detectors.models import get_spec
from landmark_ops.detectors.pipeline_run import run_pipeline
from landmark_ops.detectors.pipelines import get_pipeline
from landmark_ops.detectors.session import load_session


class Cut(NamedTuple):
    """A part of a picture and what MediaPipe's graphs gave for it."""

    image: NDArray[np.uint8]
    shape: tuple[int, int]  # width and height of the whole picture
    told: dict[str, Any]


@pytest.fixture
def cuts(shared: Path, real_models: Path) -> list[Cut]:
    facts = json.loads(Path(__file__).with_name("mediapipe.json").read_text())
    pictures = {p["file"]: cv2.imread(str(shared / "images" / p["file"]))[..., ::-1] for p in facts["pictures"]}
    found = []
    for told in facts["pictures"]:
        x0, y0, x1, y1 = told["cut"]
        image = np.ascontiguousarray(pictures[told["file"]][y0:y1, x0:x1])
        shape = pictures[told["file"]].shape[1::-1]
        found.append(Cut(image, shape, told | {"mesh_points": facts["mesh_points"]}))
    return found


def ours(cuts: list[Cut], pipeline: Any) -> list[Instances]:
    sessions = cache(lambda name: load_session(get_spec(name)))
    return run_pipeline(pipeline, [cut.image for cut in cuts], sessions=sessions)


def nearest(points: NDArray[np.float64], wanted: list[list[float]]) -> NDArray[np.float64]:
    """Distances (K,) of the instance of points (n, K, 2) that lies nearest, in pixels from the edge."""
    away = np.linalg.norm(points + 0.5 - np.array(wanted), axis=2)
    return away[away.mean(axis=1).argmin()]


def test_bodies_lie_where_mediapipes_graph_puts_them(cuts: list[Cut]) -> None:
    shares, whole = [], []
    for cut, found in zip(cuts, ours(cuts, get_pipeline("pose-33")), strict=True):
        if "pose" in cut.told:
            visible = np.array(cut.told["visible"]) > 0.5
            shares.append(nearest(found.keypoints[..., :2], cut.told["pose"])[visible] / cut.told["side"])
            if cut.told["cut"] == [0, 0, *cut.shape]:
                whole.append(shares[-1].max())
    assert len(whole) == 5
    assert max(whole) < 0.011
    worst = np.sort([away.max() for away in shares])
    assert len(worst) == 23
    # The other three: a region 0.3 % larger, by rounding in the finder, moves a wrist; a finder that is hardly sure.
    assert worst[19] < 0.02
    assert np.median([away.mean() for away in shares]) < 0.002


def test_meshes_lie_where_mediapipes_graph_puts_them(cuts: list[Cut]) -> None:
    short_range = get_pipeline("face-mesh-468").model_copy(update={"find": "blazeface-short", "also": None})
    seen = 0
    for cut, found in zip(cuts, ours(cuts, short_range), strict=True):
        assert len(found.boxes) == len(cut.told.get("mesh", []))
        for wanted in cut.told.get("mesh", []):
            side = 1.5 * np.ptp(np.array(wanted), axis=0).max()
            assert nearest(found.keypoints[:, cut.told["mesh_points"], :2], wanted).max() / side < 0.005
            seen += 1
    assert seen == 17


def test_hands_lie_where_mediapipes_graph_puts_them(cuts: list[Cut]) -> None:
    shares, missed = [], 0
    for cut, found in zip(cuts, ours(cuts, get_pipeline("hand-21")), strict=True):
        for wanted in cut.told.get("hands", []):
            side = 1.3 * np.ptp(np.array(wanted), axis=0).max()
            if len(found.boxes):
                shares.append(nearest(found.keypoints[..., :2], wanted).max() / side)
            else:
                missed += 1  # MediaPipe's finder is sure of it by 0.5, ours by a hair less
    assert missed <= 1
    assert len(shares) >= 17
    assert np.median(shares) < 0.004
    assert max(shares) < 0.04

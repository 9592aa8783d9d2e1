"""The shipped pipelines with their real weights on real pictures: reference outputs, peers, agreement, batches.

Reference boxes and points of the detectors count from the picture's edge, ours from the centre of its first pixel:
ours + ½ is compared.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from landmark_ops.detectors import locate_stage
from landmark_ops.detectors.api import detect
from landmark_ops.detectors.decoders import blazepose, hand
from landmark_ops.detectors.find_stage import find
from landmark_ops.detectors.instances import Instances
from landmark_ops.detectors.models import get_spec
from landmark_ops.detectors.nms import iou
from landmark_ops.detectors.pipeline_run import run_pipeline
from landmark_ops.detectors.pipelines import get_pipeline
from landmark_ops.detectors.regions import affines as exact_affines
from landmark_ops.detectors.session import Session, load_session
from landmark_ops.images.geometry import Affine
from tests.detectors.real_pictures import (
    Real,
    every,
    read,
    real,  # noqa: F401  a fixture
)


def as_reference(model: str) -> Session:
    """A session that samples pictures as the reference does: exactly, black beyond, and points from no heatmap.

    MediaPipe's nets are given its own grid in the product; test_mediapipe.py compares that with MediaPipe itself.
    """
    spec = get_spec(model)
    wanted = spec.input.model_copy(update={"sampling": "exact", "border": "black"})
    parameters = {key: value for key, value in spec.parameters.items() if key != "heatmap_refine"}
    return load_session(spec.model_copy(update={"input": wanted, "parameters": parameters}))


def every_as_reference(real: Real, pipeline: str, **options: Any) -> Iterator[tuple[str, Instances, dict[str, Any]]]:  # noqa: F811
    got = run_pipeline(pipeline, list(real.pictures.values()), sessions=as_reference, **options)
    for name, instances in zip(real.pictures, got, strict=True):
        yield name, instances, real.golden[name]


@pytest.mark.parametrize(
    ("model", "key", "tolerance"),
    [
        ("yunet-n", "yunet", 0.01),
        ("retinaface-mnet025", "retinaface", 0.01),
        ("ultralight-rfb320", "ultralight", 0.01),
        # The reference rounds its letterbox to whole pixels but maps back by the unrounded scale.
        ("blazeface-short", "face_detection_short_range", 1.0),
        ("blazeface-full", "face_detection_full_range", 1.0),
        ("palm-full", "palm_detection_full", 1.0),
        ("pose-detection", "pose_detection", 1.05),
    ],
)
def test_finders_reproduce_the_reference(real: Real, model: str, key: str, tolerance: float) -> None:  # noqa: F811
    session = as_reference(model)
    found = find(list(real.pictures.values()), session, session.spec.parameters, 8)
    for name, seen in zip(real.pictures, found, strict=True):
        expected = real.golden[name][key]
        assert len(seen.boxes) == len(expected), name
        for i, wanted in enumerate(expected):
            np.testing.assert_allclose(seen.boxes[i] + 0.5, wanted["box"], atol=tolerance)
            assert abs(seen.scores[i] - wanted["score"]) < 1e-3
            if "kps" in wanted:
                np.testing.assert_allclose(seen.keypoints[i] + 0.5, wanted["kps"], atol=tolerance)


def test_yunet_equals_opencvs_own(real: Real) -> None:  # noqa: F811
    path = str(real.folder / "models" / "yunet" / "yunet_n_dynamic.onnx")
    try:
        peer = cv2.FaceDetectorYN.create(path, "", (320, 320), 0.6, 0.45)
    except cv2.error as error:
        pytest.skip(f"this OpenCV does not load the file: {error}")
    for picture in real.pictures.values():
        peer.setInputSize(picture.shape[1::-1])
        _, rows = peer.detect(np.ascontiguousarray(picture[..., ::-1]))
        (ours,) = detect([picture], "face-5")
        rows = np.empty((0, 15)) if rows is None else rows
        assert len(rows) == len(ours.boxes)
        for box, points, score, row in zip(ours.boxes, ours.keypoints, ours.scores, rows, strict=True):
            np.testing.assert_allclose(box + 0.5, [*row[:2], *(row[:2] + row[2:4])], atol=0.01)
            np.testing.assert_allclose(points[:, :2] + 0.5, row[4:14].reshape(5, 2), atol=0.01)
            assert abs(score - row[14]) < 1e-3


def test_mtcnn_finds_the_same_faces(real: Real) -> None:  # noqa: F811
    """Its reference crops lie half a crop pixel off, which moves its points a pixel: see the mirror test."""
    for name, ours, golden in every(real, "face-5-mtcnn"):
        assert len(ours.boxes) == len(golden["mtcnn"]), name
        for box, points, score, wanted in zip(ours.boxes, ours.keypoints, ours.scores, golden["mtcnn"], strict=True):
            np.testing.assert_allclose(points[:, :2] + 1, wanted["kps"], atol=1.7)
            assert iou(box, np.array([wanted["box"]]))[0] > 0.9
            assert abs(score - wanted["score"]) < 0.01


def mesh_error(ours: Instances, wanted: dict[str, Any]) -> float:
    """The largest difference in shares of the crop's side."""
    indices, places = [int(k) for k in wanted["idx"]], np.array(list(wanted["idx"].values()))
    x0, y0, x1, y1 = wanted["bbox"]
    each = np.abs(ours.keypoints[:, indices, :2] - places).max(axis=(1, 2))
    return float(each.min() / (1.5 * max(x1 - x0, y1 - y0)))


def test_mesh_reproduces_the_reference_in_its_region(real: Real) -> None:  # noqa: F811
    """The reference crops what the short-range finder saw; the shipped pipeline prefers the full-range one."""
    short_range = get_pipeline("face-mesh-468").model_copy(update={"find": "blazeface-short", "also": "blazeface-full"})
    shipped = detect(list(real.pictures.values()), "face-mesh-468")
    same_region = run_pipeline(short_range, list(real.pictures.values()), sessions=as_reference)
    for name, ours, published in zip(real.pictures, same_region, shipped, strict=True):
        wanted = real.golden[name]["facemesh"]
        assert len(ours.boxes) == len(published.boxes) == len(wanted), name
        for face in wanted:
            assert mesh_error(ours, face) < 0.015
            assert mesh_error(published, face) < 0.045  # of 30 px is one face, where half a pixel is that much
            assert abs(published.extra["presence"][0] - face["flag"]) < 0.01


def test_face_68_reproduces_the_reference(real: Real) -> None:  # noqa: F811
    for _, ours, golden in every(real, "face-68"):
        for face, points, wanted in zip(golden["yunet"], ours.keypoints, golden["face68"], strict=True):
            side = max(face["box"][2] - face["box"][0], face["box"][3] - face["box"][1])
            off = np.abs(points[golden["face68_idx"], :2] - wanted).max()
            # The reference cuts boxes at whole pixels: up to 0.7 px, 2 % of a face of 33 px.
            assert off < max(0.015 * side, 0.7)


def test_head_pose_reproduces_the_reference(real: Real) -> None:  # noqa: F811
    for _, ours, golden in every(real, "face-68-3ddfa"):
        for i, (face, wanted) in enumerate(zip(golden["yunet"], golden["tddfa"], strict=True)):
            angles = [ours.extra[key][i] for key in ("yaw", "pitch", "roll")]
            small = face["box"][3] - face["box"][1] < 50  # there whole pixels of the reference's crop count
            np.testing.assert_allclose(angles, wanted["yaw_pitch_roll"], atol=3 if small else 0.5)


def test_hands_reproduce_the_reference(real: Real) -> None:  # noqa: F811
    for _, ours, golden in every_as_reference(real, "hand-21", thresholds={"presence": 0.0}):
        assert len(ours.boxes) == len(golden["hands"])
        for i, (wanted, palm) in enumerate(zip(golden["hands"], golden["palm_detection_full"], strict=True)):
            side = 2.6 * max(palm["box"][2] - palm["box"][0], palm["box"][3] - palm["box"][1])
            off = np.abs(ours.keypoints[i, :, :2] - wanted["pts21"]) / side
            assert off.mean() < 0.006
            assert off.max() < 0.021
            assert abs(ours.extra["presence"][i] - wanted["flag"]) < 0.01
            assert abs(ours.extra["right_hand"][i] - wanted["handedness_raw"]) < 0.01


def test_poses_reproduce_the_reference(real: Real) -> None:  # noqa: F811
    for name, ours, golden in every_as_reference(real, "pose-33"):
        assert len(ours.boxes) == len(golden["poses33"])
        for points, presence, wanted, side in zip(
            ours.keypoints, ours.extra["presence"], golden["poses33"], pose_sides(golden), strict=True
        ):
            assert abs(presence - wanted["flag"]) < 0.01
            off = np.abs(points[:, :2] - wanted["pts33"]) / side
            # The astronaut ends at the waist: half a pixel changes where the net places the points below.
            assert off.mean() < (0.03 if name == "astronaut.png" else 0.008)
            assert off.max() < (0.2 if name == "astronaut.png" else 0.02)


def pose_sides(golden: dict[str, Any]) -> list[float]:
    return [2.5 * float(np.hypot(*np.subtract(*body["kps"][:2]))) for body in golden["pose_detection"]]


def test_half_a_pixel_is_all_that_lies_between_us_and_the_reference(
    real: Real,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The reference takes edges for centres, in the picture and in the crop: so treated, we give its points.

    The difference that remains is how it rounds its letterbox, which moves palms and bodies by up to a pixel.
    """

    def edges_for_centres(*given: Any) -> list[Affine]:
        later, earlier = Affine([[1, 0, 0.5], [0, 1, 0.5]]), Affine([[1, 0, -0.5], [0, 1, -0.5]])
        return [later.compose(to_crop).compose(earlier) for to_crop in exact_affines(*given)]

    monkeypatch.setattr(locate_stage, "affines", edges_for_centres)
    monkeypatch.setattr(hand, "EDGE", 0.0)
    monkeypatch.setattr(blazepose, "EDGE", 0.0)
    rounded = "mp-none-0a038096.jpg", "coco-000000000785.jpg"
    for name, ours, golden in every_as_reference(real, "hand-21", thresholds={"presence": 0.0}):
        for points, wanted in zip(ours.keypoints, golden["hands"], strict=True):
            assert np.abs(points[:, :2] - wanted["pts21"]).max() < (1.0 if name in rounded else 0.1)
    for name, ours, golden in every_as_reference(real, "pose-33"):
        for points, wanted, side in zip(ours.keypoints, golden["poses33"], pose_sides(golden), strict=True):
            # Minified three to five times, so the reference's sampling, rounded to 1/32 pixel, tells too.
            off = np.abs(points[:, :2] - wanted["pts33"]) / side
            assert off.mean() < 0.006
            assert name in rounded or off.max() < 0.015


def test_movenet_reproduces_the_reference_and_the_person(real: Real) -> None:  # noqa: F811
    told = 0
    for name, ours, golden in every(real, "coco-17", thresholds={"presence": 0.0}):
        wanted = golden["movenet17_full_image"]
        side = max(golden["shape_hwc"][:2])
        sure = np.array(wanted["score"]) > 0.3
        off = np.abs(ours.keypoints[0, sure, :2] + 0.5 - np.array(wanted["pts"])[sure]) / side
        assert off.max(initial=0) < 0.015, name
        told += len(off)
    assert told >= 50
    assert len(detect([real.pictures["hand-open.png"]], "coco-17")[0].boxes) == 0  # nobody there


def test_movenet_and_blazepose_on_a_labelled_person(real: Real) -> None:  # noqa: F811
    folder = real.folder / "data" / "coco-mini"
    labels = json.loads((folder / "test_coco.json").read_text())
    (person,) = [row for row in labels["annotations"] if row["image_id"] == 785]
    x, y, width, height = person["bbox"]
    box = [np.array([[x, y, x + width, y + height]]) - 0.5]
    picture = [read(folder / "000000000785.jpg")]
    truth = np.array(person["keypoints"], float).reshape(17, 3)
    to_coco = real.skeletons["blazepose33_to_coco17"]

    def oks(points: NDArray[np.float64]) -> float:
        away = ((points[:, :2] - truth[:, :2]) ** 2).sum(axis=1)
        sigmas = np.array(real.skeletons["coco"]["sigmas"])
        return float(np.exp(-away / (2 * person["area"] * (2 * sigmas) ** 2))[truth[:, 2] > 0].mean())

    assert oks(detect(picture, "coco-17", boxes=box)[0].keypoints[0]) > 0.95
    assert oks(detect(picture, "coco-17")[0].keypoints[0]) > 0.85
    assert oks(detect(picture, "pose-33")[0].keypoints[0, to_coco]) > 0.80
    assert oks(detect(picture, "pose-33", boxes=box)[0].keypoints[0, to_coco]) > 0.80

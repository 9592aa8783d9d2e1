"""The shipped pipelines with their real weights on real pictures: reference outputs, peers, agreement, batches.

Reference boxes and points of the detectors count from the picture's edge, ours from the centre of its first pixel:
ours + ½ is compared.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from xml.etree import ElementTree

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
from landmark_ops.detectors.pipelines import get_pipeline, list_pipelines
from landmark_ops.detectors.regions import affines as exact_affines
from landmark_ops.detectors.session import Session, load_session
from landmark_ops.images.geometry import Affine

Picture = NDArray[np.uint8]


class Real(NamedTuple):
    """Pictures by name, the reference outputs of each, and the folder they are from."""

    pictures: dict[str, Picture]
    golden: dict[str, Any]
    folder: Path
    skeletons: dict[str, Any]


@pytest.fixture(scope="module")
def real(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Real]:
    golden = json.loads((shared / "models" / "golden.json").read_text())
    skeletons = json.loads((shared / "data" / "skeletons.json").read_text())
    pictures = {name: read(shared / "images" / name) for name in golden}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LANDMARKS_MODEL_MIRROR", str(shared / "models"))
        patch.setenv("LANDMARKS_MODEL_CACHE", str(tmp_path_factory.mktemp("models")))
        patch.delenv("LANDMARKS_MODEL_SPECS", raising=False)
        yield Real(pictures, golden, shared, skeletons)


def read(path: Path) -> Picture:
    return np.ascontiguousarray(cv2.imread(str(path))[..., ::-1])


def every(real: Real, pipeline: str, **options: Any) -> Iterator[tuple[str, Instances, dict[str, Any]]]:
    got = detect(list(real.pictures.values()), pipeline, **options)
    for name, instances in zip(real.pictures, got, strict=True):
        yield name, instances, real.golden[name]


def as_reference(model: str) -> Session:
    """A session that samples pictures as the reference does: exactly, black beyond, and points from no heatmap.

    MediaPipe's nets are given its own grid in the product; test_mediapipe.py compares that with MediaPipe itself.
    """
    spec = get_spec(model)
    wanted = spec.input.model_copy(update={"sampling": "exact", "border": "black"})
    parameters = {key: value for key, value in spec.parameters.items() if key != "heatmap_refine"}
    return load_session(spec.model_copy(update={"input": wanted, "parameters": parameters}))


def every_as_reference(real: Real, pipeline: str, **options: Any) -> Iterator[tuple[str, Instances, dict[str, Any]]]:
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
def test_finders_reproduce_the_reference(real: Real, model: str, key: str, tolerance: float) -> None:
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


def test_yunet_equals_opencvs_own(real: Real) -> None:
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


def test_mtcnn_finds_the_same_faces(real: Real) -> None:
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


def test_mesh_reproduces_the_reference_in_its_region(real: Real) -> None:
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


def test_face_68_reproduces_the_reference(real: Real) -> None:
    for _, ours, golden in every(real, "face-68"):
        for face, points, wanted in zip(golden["yunet"], ours.keypoints, golden["face68"], strict=True):
            side = max(face["box"][2] - face["box"][0], face["box"][3] - face["box"][1])
            off = np.abs(points[golden["face68_idx"], :2] - wanted).max()
            # The reference cuts boxes at whole pixels: up to 0.7 px, 2 % of a face of 33 px.
            assert off < max(0.015 * side, 0.7)


def test_head_pose_reproduces_the_reference(real: Real) -> None:
    for _, ours, golden in every(real, "face-68-3ddfa"):
        for i, (face, wanted) in enumerate(zip(golden["yunet"], golden["tddfa"], strict=True)):
            angles = [ours.extra[key][i] for key in ("yaw", "pitch", "roll")]
            small = face["box"][3] - face["box"][1] < 50  # there whole pixels of the reference's crop count
            np.testing.assert_allclose(angles, wanted["yaw_pitch_roll"], atol=3 if small else 0.5)


def test_hands_reproduce_the_reference(real: Real) -> None:
    for _, ours, golden in every_as_reference(real, "hand-21", thresholds={"presence": 0.0}):
        assert len(ours.boxes) == len(golden["hands"])
        for i, (wanted, palm) in enumerate(zip(golden["hands"], golden["palm_detection_full"], strict=True)):
            side = 2.6 * max(palm["box"][2] - palm["box"][0], palm["box"][3] - palm["box"][1])
            off = np.abs(ours.keypoints[i, :, :2] - wanted["pts21"]) / side
            assert off.mean() < 0.006
            assert off.max() < 0.021
            assert abs(ours.extra["presence"][i] - wanted["flag"]) < 0.01
            assert abs(ours.extra["right_hand"][i] - wanted["handedness_raw"]) < 0.01


def test_poses_reproduce_the_reference(real: Real) -> None:
    for name, ours, golden in every_as_reference(real, "pose-33"):
        assert len(ours.boxes) == len(golden["poses33"])
        for points, presence, wanted, side in zip(
            ours.keypoints, ours.extra["presence"], golden["poses33"], pose_sides(golden), strict=True
        ):
            assert abs(presence - wanted["flag"]) < 0.01
            off = np.abs(points[:, :2] - wanted["pts33"]) / side
            # The astronaut ends at the waist: half a pixel changes where the net guesses what is below.
            assert off.mean() < (0.03 if name == "astronaut.png" else 0.008)
            assert off.max() < (0.2 if name == "astronaut.png" else 0.02)


def pose_sides(golden: dict[str, Any]) -> list[float]:
    return [2.5 * float(np.hypot(*np.subtract(*body["kps"][:2]))) for body in golden["pose_detection"]]


def test_half_a_pixel_is_all_that_lies_between_us_and_the_reference(
    real: Real, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reference takes edges for centres, in the picture and in the crop: so treated, we give its points.

    What is left is how it rounds its letterbox, which moves palms and bodies by up to a pixel.
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


def test_movenet_reproduces_the_reference_and_the_person(real: Real) -> None:
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


def test_movenet_and_blazepose_on_a_labelled_person(real: Real) -> None:
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


class Labelled(NamedTuple):
    """Pictures of the dlib examples, with their 68 points of each face."""

    pictures: list[Picture]
    faces: list[list[NDArray[np.float64]]]


@pytest.fixture(scope="module")
def labelled(real: Real) -> Labelled:
    folder = real.folder / "data" / "dlib-faces"
    pictures, faces = [], []
    for part in ("testing", "training"):
        for image in ElementTree.parse(folder / f"{part}_with_face_landmarks.xml").iter("image"):
            pictures.append(read(folder / image.get("file", "")))
            parts = [sorted(box.iter("part"), key=lambda p: p.get("name", "")) for box in image.iter("box")]
            faces.append([np.array([[float(p.get("x", "")), float(p.get("y", ""))] for p in of]) for of in parts])
    return Labelled(pictures, faces)


def distance(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    """Mean distance of 68 points over the distance of the outer eye corners of the second."""
    return float(np.linalg.norm(first - second, axis=1).mean() / np.linalg.norm(second[36] - second[45]))


def test_independent_nets_agree_on_the_same_faces(real: Real, labelled: Labelled) -> None:
    pictures = [*labelled.pictures, *real.pictures.values()]
    to_68 = real.skeletons["mediapipe_468_to_300w68"]
    one, two, mesh = (detect(pictures, name) for name in ("face-68", "face-68-3ddfa", "face-mesh-468"))
    own = detect(pictures, "face-mesh-468", boxes=[each.boxes for each in one])
    apart: dict[str, list[float]] = {"3ddfa": [], "mesh": [], "mesh in own boxes": []}
    for a, b, c, d in zip(one, two, mesh, own, strict=True):
        for i, box in enumerate(a.boxes):
            overlaps = iou(box, c.boxes)
            if not (overlaps > 0.3).any():
                continue
            points = a.keypoints[i, :, :2]
            apart["3ddfa"].append(distance(b.keypoints[i, :, :2], points))
            apart["mesh"].append(distance(c.keypoints[overlaps.argmax(), to_68, :2], points))
            apart["mesh in own boxes"].append(distance(d.keypoints[i, to_68, :2], points))
    means = {key: np.mean(values) for key, values in apart.items()}
    assert len(apart["mesh"]) >= 45
    assert means["3ddfa"] < 0.066
    assert means["mesh"] < 0.056
    assert means["mesh in own boxes"] < 0.056


def test_points_lie_near_dlibs_on_small_faces(real: Real, labelled: Labelled) -> None:
    to_68 = real.skeletons["mediapipe_468_to_300w68"]
    for name, chosen, least in (
        ("face-68", range(68), 43),
        ("face-68-3ddfa", range(68), 43),
        ("face-mesh-468", to_68, 40),
        ("face-mesh-468-yunet", to_68, 43),
    ):
        away = []
        for got, faces in zip(detect(labelled.pictures, name), labelled.faces, strict=True):
            for face in faces:
                best = min((distance(k[list(chosen), :2], face) for k in got.keypoints), default=9.0)
                if best < 0.5:
                    away.append(best)
        assert len(away) >= least, name
        assert 0.05 < np.mean(away) < 0.088, name


def test_a_mirrored_picture_gives_mirrored_points(real: Real, labelled: Labelled) -> None:
    """x and the mirrored x' add up to w - 1 where pixel centres are integers; a half pixel lost shows as 1."""
    flips = {"face-5": [1, 0, 2, 4, 3], "face-5-mtcnn": [1, 0, 2, 4, 3], "face-68": real.skeletons["300w"]["flip"]}
    pictures = [
        np.ascontiguousarray(p[:, : p.shape[1] // 32 * 32]) for p in [*labelled.pictures, *real.pictures.values()]
    ]
    mirrored = [np.ascontiguousarray(p[:, ::-1]) for p in pictures]
    for name, flip in flips.items():
        sums = []
        for picture, a, b in zip(pictures, detect(pictures, name), detect(mirrored, name), strict=True):
            last = picture.shape[1] - 1
            turned = b.boxes[:, [2, 1, 0, 3]] * [-1, 1, -1, 1] + [last, 0, last, 0]
            for box, points in zip(a.boxes, a.keypoints, strict=True):
                overlaps = iou(box, turned)
                if overlaps.size and overlaps.max() > 0.6:
                    sums.append((points[:, 0] + b.keypoints[overlaps.argmax(), flip, 0] - last).mean())
        assert len(sums) >= 40
        assert abs(np.mean(sums)) < 0.9, name
        assert name != "face-5-mtcnn" or abs(np.mean(sums)) < 0.4


@pytest.mark.parametrize("name", [chosen.name for chosen in list_pipelines()])
def test_results_do_not_depend_on_batches_or_order(real: Real, labelled: Labelled, name: str) -> None:
    pictures = [*real.pictures.values(), *labelled.pictures[:2]]
    if name == "holistic-543":
        pictures = pictures[:5]
    alone = [detect([picture], name, batch=1)[0] for picture in pictures]
    together = detect(pictures[::-1], name, batch=8)[::-1]
    assert sum(len(each.boxes) for each in alone) > 0
    for a, b in zip(alone, together, strict=True):
        assert a.extra.keys() == b.extra.keys()
        for x, y in zip([*a[:5], *a.extra.values()], [*b[:5], *b.extra.values()], strict=True):
            assert x.shape == y.shape
            np.testing.assert_allclose(x, y, atol=1e-4, rtol=0)


def test_irises_lie_in_their_eyes(real: Real) -> None:
    (face,) = detect([real.pictures["astronaut.png"]], "face-mesh-478")
    points = face.keypoints[0, :, :2]
    for middle, inner, outer in ((468, 133, 33), (473, 362, 263)):
        width = np.linalg.norm(points[inner] - points[outer])
        assert np.linalg.norm(points[middle] - (points[inner] + points[outer]) / 2) < 0.3 * width
        radius = np.linalg.norm(points[middle + 1 : middle + 5] - points[middle], axis=1)
        np.testing.assert_allclose(2 * radius / width, 0.45, atol=0.2)


def test_close_portraits_and_crowds_both_get_meshes(real: Real, labelled: Labelled) -> None:
    picture = real.pictures["astronaut.png"]
    close = cv2.resize(picture[60:180, 164:284], (480, 480), interpolation=cv2.INTER_CUBIC)
    assert len(detect([close], "face-6-blazeface-full")[0].boxes) == 0
    assert len(detect([close], "face-mesh-468")[0].boxes) == 1
    assert sum(len(each.boxes) for each in detect(labelled.pictures, "face-mesh-468")) >= 40


@pytest.mark.parametrize("cell", [40, 80])
def test_a_crowd_of_small_faces_gets_its_meshes(real: Real, cell: int) -> None:
    """200 faces of a 40th of the picture's longer side: BlazeFace sees none of them, YuNet all."""
    face = cv2.resize(real.pictures["astronaut.png"][40:190, 150:300], (cell, cell), interpolation=cv2.INTER_AREA)
    crowd = np.ascontiguousarray(np.tile(face, (10, 20, 1)))
    assert len(detect(crowd, "face-mesh-468")[0].boxes) == 0
    (found,) = detect(crowd, "face-mesh-468-yunet")
    assert len(found.boxes) == 200
    middles = (found.boxes[:, :2] + found.boxes[:, 2:]) / 2 // cell
    assert len({tuple(cell_of) for cell_of in middles.tolist()}) == 200  # each its own
    eyes = found.keypoints[:, [33, 263], :2].mean(axis=1) % cell / cell
    # At 640 px of 1,600 a face has 12 px: its eyes are placed to 0.02 of the cell.
    assert np.abs(eyes - np.median(eyes, axis=0)).max() < 0.1


def test_holistic_parts_lie_where_their_own_pipelines_put_them(real: Real) -> None:
    picture = real.pictures["mp-four-07fdea90.jpg"]
    (body,) = detect([picture], "holistic-543")
    (hand,), (mesh,) = detect([picture], "hand-21"), detect([picture], "face-mesh-468")
    points = body.keypoints[0, :, :2]
    assert body.keypoints.shape == (1, 543, 3)
    size = np.ptp(hand.keypoints[0, :, :2], axis=0).max()
    assert np.linalg.norm(points[33:54] - hand.keypoints[0, :, :2], axis=1).mean() < 0.05 * size  # her left hand is up
    assert np.isnan(points[54:75]).all()  # the other is hidden
    assert body.extra["right_hand_presence"][0] < 0.5 < body.extra["left_hand_presence"][0]
    size = np.ptp(mesh.keypoints[0, :, :2], axis=0).max()
    assert np.linalg.norm(points[75:] - mesh.keypoints[0, :, :2], axis=1).mean() < 0.03 * size


def test_handedness_is_that_of_unmirrored_pictures(real: Real) -> None:
    """Her raised hand is her left: MediaPipe, which expects selfies, labels it Right."""
    (hand,) = detect([real.pictures["mp-four-07fdea90.jpg"]], "hand-21")
    assert hand.extra["right_hand"][0] < 0.05
    (mirrored,) = detect([np.ascontiguousarray(real.pictures["mp-four-07fdea90.jpg"][:, ::-1])], "hand-21")
    assert mirrored.extra["right_hand"][0] > 0.95


def test_one_picture_by_path_bytes_and_array(real: Real) -> None:
    path = real.folder / "images" / "astronaut.png"
    by_path, by_bytes, by_array = (
        detect(path, "face-5"),
        detect(path.read_bytes(), "face-5"),
        detect(read(path), "face-5"),
    )
    assert len(by_path) == len(by_bytes) == len(by_array) == 1
    np.testing.assert_allclose(by_path[0].keypoints, by_array[0].keypoints)
    np.testing.assert_allclose(by_bytes[0].keypoints, by_array[0].keypoints)
    own = detect(path, "face-68", boxes=by_path[0].boxes)
    np.testing.assert_allclose(own[0].keypoints, detect(path, "face-68")[0].keypoints)

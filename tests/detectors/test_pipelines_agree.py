"""Pipelines agree with each other, with themselves mirrored or in other batches, and with labels."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from landmark_ops.detectors.api import detect
from landmark_ops.detectors.nms import iou
from landmark_ops.detectors.pipelines import list_pipelines
from tests.detectors.real_pictures import (
    Labelled,
    Real,
    distance,
    labelled,  # noqa: F401  a fixture
    read,
    real,  # noqa: F401  a fixture
)


def test_independent_nets_agree_on_the_same_faces(real: Real, labelled: Labelled) -> None:  # noqa: F811
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


def test_points_lie_near_dlibs_on_small_faces(real: Real, labelled: Labelled) -> None:  # noqa: F811
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


def test_a_mirrored_picture_gives_mirrored_points(real: Real, labelled: Labelled) -> None:  # noqa: F811
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
def test_results_do_not_depend_on_batches_or_order(real: Real, labelled: Labelled, name: str) -> None:  # noqa: F811
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


def test_irises_lie_in_their_eyes(real: Real) -> None:  # noqa: F811
    (face,) = detect([real.pictures["astronaut.png"]], "face-mesh-478")
    points = face.keypoints[0, :, :2]
    for middle, inner, outer in ((468, 133, 33), (473, 362, 263)):
        width = np.linalg.norm(points[inner] - points[outer])
        assert np.linalg.norm(points[middle] - (points[inner] + points[outer]) / 2) < 0.3 * width
        radius = np.linalg.norm(points[middle + 1 : middle + 5] - points[middle], axis=1)
        np.testing.assert_allclose(2 * radius / width, 0.45, atol=0.2)


def test_close_portraits_and_crowds_both_get_meshes(real: Real, labelled: Labelled) -> None:  # noqa: F811
    picture = real.pictures["astronaut.png"]
    close = cv2.resize(picture[60:180, 164:284], (480, 480), interpolation=cv2.INTER_CUBIC)
    assert len(detect([close], "face-6-blazeface-full")[0].boxes) == 0
    assert len(detect([close], "face-mesh-468")[0].boxes) == 1
    assert sum(len(each.boxes) for each in detect(labelled.pictures, "face-mesh-468")) >= 40


@pytest.mark.parametrize("cell", [40, 80])
def test_a_crowd_of_small_faces_gets_its_meshes(real: Real, cell: int) -> None:  # noqa: F811
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


def test_holistic_parts_lie_where_their_own_pipelines_put_them(real: Real) -> None:  # noqa: F811
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


def test_handedness_is_that_of_unmirrored_pictures(real: Real) -> None:  # noqa: F811
    """Her raised hand is her left: MediaPipe, which expects selfies, labels it Right."""
    (hand,) = detect([real.pictures["mp-four-07fdea90.jpg"]], "hand-21")
    assert hand.extra["right_hand"][0] < 0.05
    (mirrored,) = detect([np.ascontiguousarray(real.pictures["mp-four-07fdea90.jpg"][:, ::-1])], "hand-21")
    assert mirrored.extra["right_hand"][0] > 0.95


def test_one_picture_by_path_bytes_and_array(real: Real) -> None:  # noqa: F811
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

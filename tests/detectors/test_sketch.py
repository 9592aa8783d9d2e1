"""Where detection differs from the sketch that made golden.json: measured, which of the two is right."""

from __future__ import annotations

import importlib.util
from types import ModuleType

import numpy as np
import pytest
from numpy.typing import NDArray

from landmark_ops.detectors.api import detect
from landmark_ops.detectors.nms import iou
from tests.detectors.real_pictures import Labelled, Picture, Real, distance, labelled, read, real  # noqa: F401

Floats = NDArray[np.float64]
FLIP = [1, 0, 2, 4, 3]


@pytest.fixture(scope="module")
def sketch(real: Real) -> ModuleType:  # noqa: F811
    specification = importlib.util.spec_from_file_location("sketch", real.folder / "reference" / "decode_sketch.py")
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def bgr(picture: Picture) -> Picture:
    return np.ascontiguousarray(picture[..., ::-1])


def mirror_sums(boxes: Floats, points: Floats, mirrored_boxes: Floats, mirrored: Floats, width: int) -> list[float]:
    """Of each face seen in a picture and in its mirror image, the mean over its points of x + x' - (width - 1)."""
    turned = mirrored_boxes[:, [2, 1, 0, 3]] * [-1, 1, -1, 1] + [width - 1, 0, width - 1, 0]
    sums = []
    for box, face in zip(boxes, points, strict=True):
        overlaps = iou(box, turned)
        if overlaps.size and overlaps.max() > 0.5:
            sums.append(float((face[:, 0] + mirrored[overlaps.argmax(), FLIP, 0] - (width - 1)).mean()))
    return sums


def test_mtcnn_is_even_where_the_sketch_leans_to_one_side(
    real: Real,  # noqa: F811
    sketch: ModuleType,
) -> None:
    """A picture's points and its mirror image's add up to w - 1, or to w where they count from the edge.

    Ours miss that by 0.06 px over 71 faces. The sketch's sums are 2.4 px more than w - 1: its points lie 0.7 px too
    far right if they count from the edge, 1.2 px if from pixel centres. So golden.json's MTCNN is matched to 1.7 px.
    """
    ours, theirs = list[float](), list[float]()
    crowds = [read(path) for path in sorted((real.folder / "data" / "dlib-faces").glob("*.jpg"))]
    for picture in [*crowds, *real.pictures.values()]:
        turned, width = np.ascontiguousarray(picture[:, ::-1]), picture.shape[1]
        here, there = detect([picture, turned], "face-5-mtcnn")
        ours += mirror_sums(here.boxes, here.keypoints, there.boxes, there.keypoints, width)
        try:
            (boxes, _, points), (turned_boxes, _, turned_points) = (sketch.mtcnn(bgr(p)) for p in (picture, turned))
        except ValueError:  # it cannot do without candidates
            continue
        theirs += mirror_sums(boxes, points, turned_boxes, turned_points, width)
    assert len(ours) >= 65
    assert len(theirs) >= 65
    assert abs(np.mean(ours)) < 0.2
    assert np.mean(theirs) > 2


def sketched_3ddfa(sketch: ModuleType, picture: Picture, box: Floats) -> Floats:
    _, values, (x, y, side) = sketch.tddfa(bgr(picture), box + 0.5)
    return np.asarray((values.reshape(2, 68).T + 1) / 2 * side + [x, y])


def test_3ddfa_agrees_with_face_68_as_well_as_the_sketch_does(
    real: Real,  # noqa: F811
    labelled: Labelled,  # noqa: F811
    sketch: ModuleType,
) -> None:
    """vision.md has 0.050 for 45 faces that it does not name.

    On the 46 faces of these pictures that the mesh finds too, the sketch itself comes to 0.061, and we to 0.063; on
    those whose eyes are 20 px apart or more, to 0.052 and 0.053. It is the small faces, not the geometry.
    """
    pictures = [*labelled.pictures, *real.pictures.values()]
    faces, heads, meshes = (detect(pictures, name) for name in ("face-68", "face-68-3ddfa", "face-mesh-468"))
    rows = []
    for picture, face, head, mesh in zip(pictures, faces, heads, meshes, strict=True):
        for i, box in enumerate(face.boxes):
            if not (iou(box, mesh.boxes) > 0.3).any():
                continue
            points = face.keypoints[i, :, :2]
            theirs = distance(sketched_3ddfa(sketch, picture, box), sketch.face68(bgr(picture), box + 0.5))
            eyes = float(np.linalg.norm(points[36] - points[45]))
            rows.append((eyes, distance(head.keypoints[i, :, :2], points), theirs))
    eyes, ours, sketched = np.array(rows).T
    assert len(rows) >= 45
    assert ours.mean() < sketched.mean() + 0.004
    large = eyes > 20
    assert large.sum() >= 25
    assert ours[large].mean() < 0.055
    assert sketched[large].mean() > 0.05

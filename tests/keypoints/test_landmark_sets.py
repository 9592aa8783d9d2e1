from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from landmark_ops.errors import InputError
from landmark_ops.keypoints.landmark_sets import available, build, landmark_set

SIZES = {
    "face-5": 5,
    "face-6": 6,
    "face-68": 68,
    "face-mesh-468": 468,
    "face-mesh-478": 478,
    "hand-21": 21,
    "pose-33": 33,
    "coco-17": 17,
    "holistic-543": 543,
}


def test_every_set_is_there() -> None:
    assert {name: landmark_set(name).size for name in available()} == SIZES


@pytest.mark.parametrize("name", sorted(SIZES))
def test_flipping_twice_is_the_identity(name: str) -> None:
    flip = np.array(landmark_set(name).flip)
    np.testing.assert_array_equal(flip[flip], np.arange(SIZES[name]))


@pytest.mark.parametrize("name", sorted(SIZES))
def test_a_mirrored_skeleton_is_the_same_skeleton(name: str) -> None:
    points = landmark_set(name)
    edges = {frozenset(edge) for edge in points.edges}
    assert {frozenset((points.flip[a], points.flip[b])) for a, b in points.edges} == edges


@pytest.mark.parametrize("name", ["face-5", "face-6", "pose-33", "coco-17", "holistic-543"])
def test_flip_exchanges_the_words_left_and_right(name: str) -> None:
    points = landmark_set(name)
    for at, other in enumerate(points.flip):
        if "mesh" in points.names[at]:  # numbered points say no side
            continue
        mirrored = points.names[at].replace("left", "L").replace("right", "left").replace("L", "right")
        assert points.names[other] == mirrored


@pytest.mark.parametrize("name", ["coco-17", "face-68", "hand-21"])
def test_sigmas_are_symmetric_enough_and_positive(name: str) -> None:
    sigmas = landmark_set(name).sigmas
    assert sigmas is not None
    assert 0 < min(sigmas) < max(sigmas) < 0.2


def test_holistic_is_made_of_its_parts() -> None:
    whole = landmark_set("holistic-543")
    assert [name for name, _ in whole.parts] == ["pose-33", "left_hand", "right_hand", "face"]
    assert whole.names[33] == "left_hand_wrist"
    assert whole.names[whole.flip[33]] == "right_hand_wrist"
    assert len(whole.edges) == sum(
        len(landmark_set(s).edges) for s in ("pose-33", "hand-21", "hand-21", "face-mesh-468")
    )


def test_midline_of_the_mesh_stays_and_irises_exchange() -> None:
    flip = landmark_set("face-mesh-478").flip
    assert all(flip[i] == i for i in (1, 4, 10, 152, 168))
    assert (flip[33], flip[61], flip[468]) == (263, 291, 473)


def test_unknown_names_are_refused() -> None:
    with pytest.raises(InputError, match="landmark set 'face-69' is not known: did you mean face-6"):
        landmark_set("face-69")


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"title": "t", "names": ["a", "a"]}, "a name is given twice"),
        ({"title": "t", "names": ["a", "b", "c"], "flip": [[0, 1], [1, 2]]}, "flipping twice does not lead back"),
        ({"title": "t", "names": ["a"], "lines": [[0, 1]]}, "line .0, 1. leaves the 1 points"),
        ({"title": "t", "names": ["a"], "sigmas": [0.1, 0.2]}, "2 sigmas for 1 points"),
        ({"title": "t", "names": ["a"], "flips": []}, "unknown key 'flips'"),
    ],
)
def test_a_set_that_does_not_hold_together_is_refused(document: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        build("mine", document)


def test_sets_agree_with_published_skeletons(shared: Path) -> None:
    facts = json.loads((shared / "data" / "skeletons.json").read_text())
    coco = landmark_set("coco-17")
    assert list(coco.names) == facts["coco"]["names"]
    assert list(coco.flip) == facts["coco"]["flip"]
    assert list(coco.sigmas or ()) == facts["coco"]["sigmas"]
    assert {frozenset(e) for e in coco.edges} == {frozenset(e) for e in facts["coco"]["edges"]}
    face = landmark_set("face-68")
    assert list(face.flip) == facts["300w"]["flip"]
    assert list(face.sigmas or ()) == facts["coco_wholebody_face"]["sigmas"]

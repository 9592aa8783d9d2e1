"""Real models and pictures, and what a reference saw in them: fixtures of the tests of real pipelines."""

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

from landmark_ops.detectors.api import detect
from landmark_ops.detectors.instances import Instances

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

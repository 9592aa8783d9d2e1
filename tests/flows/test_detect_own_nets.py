"""Nets of a user's own in the whole flow: points of an own set, pictures that cannot be drawn, specs that change."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from flows.detect import overlays
from flows.detect.draw import draw_tables
from flows.detect.own_sets import set_of_rows
from landmark_ops.detectors import session
from landmark_ops.errors import InputError
from landmark_ops.keypoints import drawing
from tests.flows.detecting_data import (
    TinyModels,
    bare_page,  # noqa: F401  a fixture
    detect_config,
    model_files,  # noqa: F401  a fixture
    once,
    rows,
    run_detect,
    tiny_models,  # noqa: F401  a fixture
    write_folder,
)

pytestmark = pytest.mark.usefixtures("bare_page")

N = 5
OWN = {"title": "Five lights", "names": ["a", "b", "c", "d", "e"], "lines": [[0, 1, 2, 3, 4]], "flip": [[0, 1]]}


@pytest.fixture
def own(tmp_path: Path, tiny_models: TinyModels, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:  # noqa: F811
    """A config of N pictures, an own pipeline with an own landmark set, and own specs that a test may change."""
    specs = tmp_path / "specs"
    shutil.copytree(tiny_models.specs, specs)
    monkeypatch.setenv("LANDMARKS_MODEL_SPECS", str(specs))
    pipeline = yaml.safe_load(Path(tiny_models.pipeline).read_text()) | {"landmark_set": "lights-5.yaml"}
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(pipeline))
    (tmp_path / "lights-5.yaml").write_text(yaml.safe_dump(OWN))
    source = write_folder(tmp_path / "pictures", range(N))
    return detect_config(source, tmp_path / "out", str(tmp_path / "mine.yaml"))


def test_rows_name_the_own_set_and_are_drawn_with_its_edges(own: dict[str, Any], tmp_path: Path) -> None:
    done = run_detect(own)
    assert done["warnings"] == []
    once(tmp_path / "out", N)
    assert {row["landmark_set"] for row in rows(tmp_path / "out")} == {"lights-5"}
    for name in ("mine.yaml", "lights-5.yaml"):
        (tmp_path / name).unlink()  # tables outlive the files of a config
    points = set_of_rows(str(tmp_path / "out"), "lights-5")
    assert points is not None
    assert points.names == ("a", "b", "c", "d", "e")
    assert len(points.edges) == 4
    drawn = draw_tables(str(tmp_path / "out"), str(tmp_path / "drawn"), sample=2)
    assert len(drawn.overlays) == 2
    assert drawn.problems == {}


def test_a_changed_set_of_the_same_name_is_refused(own: dict[str, Any], tmp_path: Path) -> None:
    run_detect(own)
    before = rows(tmp_path / "out")
    (tmp_path / "lights-5.yaml").write_text(yaml.safe_dump(OWN | {"names": ["e", "d", "c", "b", "a"]}))
    with pytest.raises(InputError, match="holds rows of another landmark set named lights-5: give the changed set"):
        run_detect(own)
    assert rows(tmp_path / "out") == before


@pytest.mark.parametrize(
    ("named", "points", "message"),
    [
        ("lights-6", 5, "landmark set 'lights-6' is not known"),
        ("face-68", 68, "its nets give 5 points, points says 68"),
        ("face-68", 5, "points is 5, landmark set face-68 has 68"),
    ],
)
def test_a_set_that_is_not_the_nets_is_refused_before_anything_runs(
    own: dict[str, Any], tmp_path: Path, named: str, points: int, message: str
) -> None:
    place = tmp_path / "mine.yaml"
    place.write_text(yaml.safe_dump(yaml.safe_load(place.read_text()) | {"landmark_set": named, "points": points}))
    with pytest.raises(InputError, match=message):
        run_detect(own)
    assert not (tmp_path / "out/keypoints").exists()


def test_what_cannot_be_drawn_costs_the_picture_alone(
    own: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[int] = []

    def fail(*_: Any, **__: Any) -> None:
        drawn.append(1)
        raise cv2_error("OpenCV: no memory for this drawing\nin drawing.cpp")

    monkeypatch.setattr(overlays, "overlay", fail)
    done = run_detect(own)
    once(tmp_path / "out", N)
    assert done["instances"] == len(rows(tmp_path / "out")) > 0
    (warning,) = done["warnings"]
    assert warning.endswith("could not be drawn, their rows are complete: error: OpenCV: no memory for this drawing")
    assert int(warning.split()[0]) == len(drawn)
    tried = len(drawn)
    again = run_detect(own)
    assert (again["outcome"], again["warnings"], len(drawn)) == ("nothing new", [], tried)


def cv2_error(text: str) -> Exception:
    return drawing.cv2.error(text)


def test_a_changed_spec_makes_a_new_generation(own: dict[str, Any], tmp_path: Path) -> None:
    """The file's sha256 is the same, but its pictures and answers are processed differently."""
    first = run_detect(own)
    place = tmp_path / "specs/light-points.yaml"
    spec = yaml.safe_load(place.read_text())
    spec["licence_notes"] = ["read again"]
    place.write_text(yaml.safe_dump(spec))
    moved = tmp_path / "elsewhere"
    moved.mkdir()
    pipeline = yaml.safe_load((tmp_path / "mine.yaml").read_text()) | {"title": "Renamed"}
    (moved / "other.yaml").write_text(yaml.safe_dump(pipeline))
    shutil.copy(tmp_path / "lights-5.yaml", moved)
    own["detector"]["pipeline"] = str(moved / "other.yaml")
    assert run_detect(own)["outcome"] == "nothing new"
    spec["parameters"]["pixel_offset"] = 0.5
    place.write_text(yaml.safe_dump(spec))
    second = run_detect(own)
    assert second["config_hash"] != first["config_hash"]
    once(tmp_path / "out", N, generations=2)
    means = {
        done["config_hash"]: np.mean(
            [row["keypoints"][0]["x"] for row in rows(tmp_path / "out") if row["config_hash"] == done["config_hash"]]
        )
        for done in (first, second)
    }
    scale = means[second["config_hash"]] - means[first["config_hash"]]
    assert scale > 0.1  # one crop pixel


def test_a_set_on_record_that_is_damaged_draws_points_alone(own: dict[str, Any], tmp_path: Path) -> None:
    run_detect(own)
    (record,) = (tmp_path / "out/_landmark_ops").glob("landmark-set-*.json")
    record.write_text(json.dumps({"value": {"name": "lights-5"}}))
    assert set_of_rows(str(tmp_path / "out"), "lights-5") is None
    assert len(draw_tables(str(tmp_path / "out"), str(tmp_path / "drawn"), sample=1).overlays) == 1


def test_a_picture_on_which_a_net_overflows_costs_itself(
    own: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As nets in float16 do on bright pictures: the trial's own pictures may pass, and one of a million not."""
    Image.new("RGB", (40, 30), (255, 255, 255)).save(tmp_path / "pictures/white.png")
    run = session.Session._run

    def overflows(self: session.Session, batch: np.ndarray) -> list[np.ndarray]:
        if (batch.mean(axis=(1, 2, 3)) > 150).any():
            raise session.NotANumber(f"model {self.spec.name}: output {self.spec.outputs[0]} holds NaN")
        return run(self, batch)

    monkeypatch.setattr(session.Session, "_run", overflows)
    done = run_detect(own)
    assert (done["images"], done["failed"]) == (N + 1, 1)
    once(tmp_path / "out", N + 1)
    (failure,) = rows(tmp_path / "out", "failures")
    assert (failure["member"], failure["reason"]) == ("white.png", "net_undefined")
    assert "holds NaN" in failure["detail"]
    assert run_detect(own)["outcome"] == "nothing new"

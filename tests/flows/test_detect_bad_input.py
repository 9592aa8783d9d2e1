"""Mistakes of a user of `landmarks detect`: one line that says what, and exit code 2, before anything is written."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import yaml
from deltalake import write_deltalake
from typer.testing import CliRunner, Result

from flows.cli.app import app
from landmark_ops.detectors.pipelines import list_pipelines
from landmark_ops.stores.lock import OutputLock
from tests.flows.detecting_data import (
    TinyModels,
    bare_page,  # noqa: F401  a fixture
    detect_config,
    make_models,
    model_files,  # noqa: F401  a fixture
    run_detect,
    tiny_models,  # noqa: F401  a fixture
    write_folder,
    write_image_parquet,
    write_image_zarr,
    write_tars,
)

pytestmark = pytest.mark.usefixtures("bare_page", "signals")


@pytest.fixture
def config(tmp_path: Path, tiny_models: TinyModels) -> dict[str, Any]:  # noqa: F811
    return detect_config(write_folder(tmp_path / "pictures", range(5)), tmp_path / "out", tiny_models.pipeline)


def run(config: dict[str, Any], tmp_path: Path, *more: str) -> Result:
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(config))
    return CliRunner().invoke(app, ["detect", str(path), "--quiet", *more])


def refused(config: dict[str, Any], tmp_path: Path, *more: str) -> str:
    """The one line that the command ends with."""
    result = run(config, tmp_path, *more)
    assert result.exit_code == 2, (result.exception, result.output)
    assert result.stdout == ""
    assert result.stderr.startswith("landmarks: ")
    assert result.stderr.count("\n") == 1
    assert not list(tmp_path.rglob("*.lock"))
    return result.stderr.removeprefix("landmarks: ").strip()


def untouched(tmp_path: Path) -> None:
    assert not (tmp_path / "out").exists()


# --- it runs at all


def test_the_command(config: dict[str, Any], tmp_path: Path) -> None:
    result = run(config, tmp_path)
    assert result.exit_code == 0, result.output
    assert result.stderr == ""
    assert result.stdout.splitlines() == [
        "images     5 = 5 with rows + 0 without + 0 failed",
        f"keypoints  {tmp_path}/out/keypoints  (5 rows)",
        f"failures   {tmp_path}/out/failures",
        f"report     {tmp_path}/out/report/index.html",
    ]
    again = run(config, tmp_path)
    assert again.exit_code == 0
    assert again.stdout.startswith("nothing new: every image is in the tables already\nimages     5 = 5 with rows")


# --- the config


def test_an_unknown_pipeline_lists_those_there(config: dict[str, Any], tmp_path: Path) -> None:
    message = refused(config, tmp_path, "--set", "detector.pipeline=face-86")
    assert message.startswith("pipeline 'face-86' is unknown: did you mean face-68? There are ")
    assert all(pipeline.name in message for pipeline in list_pipelines())
    untouched(tmp_path)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("detector.pipelin", "x", "detector.pipelin is no known key: did you mean pipeline?"),
        ("source.globb", "x", "source.globb is no known key: did you mean glob?"),
        ("report.sampel", "3", "report.sampel is no known key: did you mean sample?"),
        ("landmarks", "3", "landmarks is no known key: valid here: "),
        ("output.format", "csv", "output.format: input should be 'delta' or 'parquet', got 'csv'"),
        ("source.format", "rar", "source.format: input should be 'auto', "),
        ("detector.batch", "0", "detector.batch: input should be greater than 0, got 0"),
        ("detector.landmarks", "face-68", "detector: boxes and landmarks belong together: boxes: {column: bbox}"),
        ("detector.boxes", "{column: b}", "detector: boxes and landmarks belong together: boxes: {column: bbox}"),
        ("detector.pipeline", "null", "detector: needs pipeline: NAME, or boxes: {column: NAME} with landmarks: NAME"),
        ("report.sample", "501", "report.sample: input should be less than or equal to 500, got 501"),
    ],
)
def test_a_wrong_key_or_value(config: dict[str, Any], tmp_path: Path, key: str, value: str, message: str) -> None:
    told = refused(config, tmp_path, "--set", f"{key}={value}")
    assert told.startswith(f"{tmp_path}/config.yaml: {message}")
    untouched(tmp_path)


def test_a_wrong_key_of_boxes(config: dict[str, Any], tmp_path: Path) -> None:
    config["detector"] = {"boxes": {"column": "b", "colunm": "c"}, "landmarks": "face-68"}
    assert "detector.boxes.colunm is no known key: did you mean column?" in refused(config, tmp_path)


def test_both_a_pipeline_and_boxes(config: dict[str, Any], tmp_path: Path) -> None:
    config["detector"] |= {"boxes": {"column": "b"}, "landmarks": "face-68"}
    assert "pipeline finds its own boxes: give either pipeline, or boxes with landmarks" in refused(config, tmp_path)


@pytest.mark.parametrize(
    ("thresholds", "message"),
    [
        ({"scoer": 0.5}, "threshold 'scoer' is unknown: valid: score, nms_iou, max_side, min_face_px, presence"),
        ({"score": 1.5}, "threshold score=1.5: give a number from 0 to 1"),
        ({"presence": 0.5}, "threshold presence changes nothing in pipeline lights: leave it out"),
        ({"max_side": 640}, "threshold max_side changes nothing in pipeline lights: leave it out"),
    ],
)
def test_thresholds(config: dict[str, Any], tmp_path: Path, thresholds: dict[str, float], message: str) -> None:
    config["detector"]["thresholds"] = thresholds
    assert refused(config, tmp_path) == message


def test_boxes_for_a_pipeline_without_points(config: dict[str, Any], tmp_path: Path, tiny_models: TinyModels) -> None:  # noqa: F811
    config["detector"] = {"boxes": {"column": "bbox"}, "landmarks": tiny_models.boxes_only}
    assert "finds boxes only: name a pipeline with points" in refused(config, tmp_path)
    untouched(tmp_path)


def test_no_config(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["detect", str(tmp_path / "none.yaml")])
    assert result.exit_code == 2
    assert "none.yaml: cannot be read: No such file or directory" in result.stderr


# --- models


def test_a_wrong_hash_beside_the_spec(config: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    models = make_models(tmp_path / "models")
    file = models.specs / "light-points.onnx"
    data = bytearray(file.read_bytes())
    data[100] ^= 1
    file.write_bytes(data)
    monkeypatch.setenv("LANDMARKS_MODEL_SPECS", str(models.specs))
    message = refused(config, tmp_path)
    assert message.startswith(f"model light-points: {file}")
    assert models.sha256["light-points"] in message
    untouched(tmp_path)


def test_a_wrong_hash_on_the_mirror(config: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from landmark_ops.detectors.models import get_spec

    file = tmp_path / "mirror" / get_spec("yunet-n").file
    file.parent.mkdir(parents=True)
    file.write_bytes(b"not this model")
    monkeypatch.setenv("LANDMARKS_MODEL_MIRROR", str(tmp_path / "mirror"))
    config["detector"]["pipeline"] = "face-5"
    message = refused(config, tmp_path)
    assert str(file) in message
    assert get_spec("yunet-n").sha256 in message
    untouched(tmp_path)


def test_no_such_mirror(config: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LANDMARKS_MODEL_MIRROR", str(tmp_path / "mirror"))
    config["detector"]["pipeline"] = "face-5"
    assert f"LANDMARKS_MODEL_MIRROR: {tmp_path}/mirror is no folder" in refused(config, tmp_path)


def test_a_pipeline_with_an_unknown_model(config: dict[str, Any], tmp_path: Path) -> None:
    mine = tmp_path / "mine.yaml"
    mine.write_text(yaml.safe_dump({"title": "Mine", "landmark_set": None, "points": 0, "find": "light-findre"}))
    config["detector"]["pipeline"] = str(mine)
    message = refused(config, tmp_path)
    assert message.startswith("model 'light-findre' is unknown: did you mean light-finder")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"landmark_set": "face-5000"}, "face-5000"),
        ({"landmark_set": "face-68"}, "face-68"),
        ({"points": 4}, "points is 4, landmark set face-5 has 5"),
        ({"points": 4, "landmark_set": None}, "its nets give 5 points, points says 4"),
    ],
)
def test_a_pipeline_whose_points_do_not_fit(
    config: dict[str, Any],
    tmp_path: Path,
    tiny_models: TinyModels,  # noqa: F811
    change: dict[str, Any],
    message: str,
) -> None:
    mine = tmp_path / "mine.yaml"
    mine.write_text(yaml.safe_dump({**yaml.safe_load(Path(tiny_models.pipeline).read_text()), **change}))
    config["detector"]["pipeline"] = str(mine)
    assert message in refused(config, tmp_path)


# --- the source


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda place: None, "in: nothing is there (looked for images, tars, Parquet"),
        (lambda place: place.mkdir(), "in: holds no images, tars or Parquet files at any depth"),
        (lambda place: write_folder(place, range(2)), None),
    ],
    ids=["absent", "empty", "no match"],
)
def test_a_source_without_images(config: dict[str, Any], tmp_path: Path, make: Any, message: str | None) -> None:
    make(tmp_path / "in")
    config["source"] = {"uri": str(tmp_path / "in")}
    if message is None:
        config["source"]["glob"] = "*.webp"
        message = "in: holds no files matching '*.webp' among 2 files"
    assert message in refused(config, tmp_path)
    untouched(tmp_path)


def test_a_missing_column(config: dict[str, Any], tmp_path: Path) -> None:
    config["source"] = {"uri": write_image_parquet(tmp_path / "x.parquet", 3, 3), "column": "picture"}
    message = refused(config, tmp_path)
    assert "x.parquet: holds no column 'picture'; columns there: image (binary); id (string)" in message
    untouched(tmp_path)


def test_options_of_another_kind(config: dict[str, Any], tmp_path: Path) -> None:
    config["source"] = {"uri": write_tars(tmp_path / "tars", 3, 3), "column": "image"}
    assert "is a webdataset source, source.column does not apply to it: leave it out" in refused(config, tmp_path)


def test_arrays_that_are_no_pictures(config: dict[str, Any], tmp_path: Path) -> None:
    import numpy as np
    import zarr

    zarr.create_group(tmp_path / "x.zarr").create_array("rows", data=np.zeros((5, 8), np.float32), chunks=(5, 8))
    config["source"] = {"uri": str(tmp_path / "x.zarr")}
    assert "needed are pictures (n, height, width, 3) uint8, RGB" in refused(config, tmp_path)
    write_image_zarr(tmp_path / "y.zarr", 4, 2)
    config["source"] = {"uri": str(tmp_path / "y.zarr"), "glob": "*"}
    assert "is a zarr source, source.glob does not apply to it" in refused(config, tmp_path)


# --- the output


def test_a_table_of_other_columns(config: dict[str, Any], tmp_path: Path) -> None:
    write_deltalake(str(tmp_path / "out/keypoints"), pa.table({"x": [1, 2]}))
    message = refused(config, tmp_path)
    assert message.startswith(f"output {tmp_path}/out/keypoints: is a table of other columns (lacks box, ")
    assert "also has x" in message
    assert message.endswith("choose another output.uri, or move it away")


def test_something_else_at_the_output(config: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "out/keypoints").mkdir(parents=True)
    (tmp_path / "out/keypoints/notes.txt").write_text("mine")
    assert "holds something that is no Delta table and is never overwritten" in refused(config, tmp_path)
    assert (tmp_path / "out/keypoints/notes.txt").read_text() == "mine"


def test_a_file_at_the_output(config: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "out").write_text("mine")
    assert f"output {tmp_path}/out" in refused(config, tmp_path)


def test_another_format_into_the_same_tables(config: dict[str, Any], tmp_path: Path) -> None:
    run_detect(config)
    config["output"]["format"] = "parquet"
    assert f"output {tmp_path}/out/keypoints: " in refused(config, tmp_path)


def test_another_source_into_the_same_tables(config: dict[str, Any], tmp_path: Path) -> None:
    run_detect(config)
    config["source"]["uri"] = write_folder(tmp_path / "others", range(2))
    message = refused(config, tmp_path)
    assert f"its rows come from {tmp_path}/pictures, this source is {tmp_path}/others" in message
    assert message.endswith("choose another output.uri")


def test_a_run_under_way(config: dict[str, Any], tmp_path: Path) -> None:
    with OutputLock(f"{tmp_path}/out/detect"):
        result = run(config, tmp_path)
    assert result.exit_code == 2
    assert f"process {os.getpid()} on " in result.stderr
    assert "is writing it now: wait for that run, or choose another output.uri" in result.stderr
    assert run(config, tmp_path).exit_code == 0

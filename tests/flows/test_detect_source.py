"""Options that decide what is read are on record: a change reads the newly matching images, and is never ignored."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
import zarr
from typer.testing import CliRunner, Result

from flows.cli.app import app
from flows.detect.preparation import prepare
from landmark_ops.configs.detect import DetectConfig
from landmark_ops.errors import InputError
from landmark_ops.images.encode import to_jpeg
from tests.flows.detecting_data import (
    TinyModels,
    bare_page,  # noqa: F401  a fixture
    blob_of,
    detect_config,
    model_files,  # noqa: F401  a fixture
    once,
    picture,
    png,
    rows,
    run_detect,
    tiny_models,  # noqa: F401  a fixture
    write_folder,
    write_image_delta,
)

pytestmark = pytest.mark.usefixtures("bare_page", "signals")


def write_tar(path: Path, names: list[str]) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as archive:
        for at, name in enumerate(names):
            data = png(at % 6) if "." in name else b"x"
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return str(path.parent)


def command(config: dict[str, Any], tmp_path: Path) -> Result:
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(config))
    return CliRunner().invoke(app, ["detect", str(path), "--quiet"])


def members(out: Path) -> list[str]:
    return sorted(row["member"] for row in rows(out, "images"))


def test_another_glob_reads_what_it_newly_means(tmp_path: Path, tiny_models: TinyModels) -> None:  # noqa: F811
    source = write_tar(tmp_path / "in/0.tar", ["0.left.png", "0.right.png", "1.left.png", "1.right.png", "0.json"])
    config = detect_config(source, tmp_path / "out", tiny_models.pipeline, source={"glob": "*.left.png"})
    first = run_detect(config)
    assert members(tmp_path / "out") == ["0.left.png", "1.left.png"]
    assert first["passed_over"] == {".png": 2, ".json": 1}
    config["source"]["glob"] = "*.right.png"
    second = run_detect(config)
    assert (second["outcome"], second["this_run"], second["images"]) == ("done", 2, 4)
    del config["source"]["glob"]
    third = run_detect(config)
    assert (third["outcome"], third["this_run"], third["images"]) == ("nothing new", 0, 4)
    assert members(tmp_path / "out") == ["0.left.png", "0.right.png", "1.left.png", "1.right.png"]


def test_a_run_that_listed_before_another_committed_lists_again(
    tmp_path: Path,
    tiny_models: TinyModels,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Else a rewritten picture would get its old rows back, and one that came meanwhile would be missed."""
    source = write_folder(tmp_path / "in", range(4))
    config = detect_config(source, tmp_path / "out", tiny_models.pipeline)
    run_detect(config)
    early = prepare(DetectConfig.model_validate(config))
    write_folder(tmp_path / "in", range(6))
    assert run_detect(config)["this_run"] == 2
    write_folder(tmp_path / "in", range(7))
    monkeypatch.setattr("flows.detect.flow.prepare", lambda config: early)
    last = run_detect(config)
    assert (last["this_run"], last["images"]) == (1, 7)
    once(tmp_path / "out", 7)


def two_columns(path: Path) -> str:
    columns = {side: pa.array([png(at)], pa.binary()) for at, side in enumerate(("left", "right"))}
    pq.write_table(pa.table(columns | {"id": ["a"]}), path)
    return str(path)


def two_arrays(path: Path) -> str:
    group = zarr.create_group(path)
    for at, side in enumerate(("left", "right")):
        group.create_array(side, data=np.stack([picture(at)]))
    return str(path)


@pytest.mark.parametrize("make", [two_columns, two_arrays])
def test_another_column_or_array_is_read(tmp_path: Path, tiny_models: TinyModels, make: Any) -> None:  # noqa: F811
    source = make(tmp_path / ("in.parquet" if make is two_columns else "in.zarr"))
    found = {}
    for at, side in enumerate(("left", "right")):
        result = run_detect(detect_config(source, tmp_path / "out", tiny_models.pipeline, source={"column": side}))
        assert (result["outcome"], result["images"]) == ("done", 1)
        (row,) = [row for row in rows(tmp_path / "out") if row["config_hash"] == result["config_hash"]]
        blob = blob_of(at)
        assert blob is not None
        assert abs(row["keypoints"][0]["x"] - blob.x) < 1
        found[side] = result["config_hash"]
    assert found["left"] != found["right"]
    again = run_detect(detect_config(source, tmp_path / "out", tiny_models.pipeline, source={"column": "left"}))
    assert (again["outcome"], again["config_hash"]) == ("nothing new", found["left"])


def test_another_id_column_is_another_generation(tmp_path: Path, tiny_models: TinyModels) -> None:  # noqa: F811
    source = two_columns(tmp_path / "in.parquet")
    config = detect_config(source, tmp_path / "out", tiny_models.pipeline, source={"column": "left"})
    run_detect(config)
    config["source"]["id_column"] = "id"
    assert run_detect(config)["this_run"] == 1
    assert {row["image_id"] for row in rows(tmp_path / "out", "images")} == {"in.parquet/0", "a"}


def test_a_run_that_met_no_image_says_why(tmp_path: Path, tiny_models: TinyModels) -> None:  # noqa: F811
    names = [f"{at}.{suffix}" for at in range(6) for suffix in ("img", "cap")]
    config = detect_config(write_tar(tmp_path / "in/0.tar", names), tmp_path / "out", tiny_models.pipeline)
    result = command(config, tmp_path)
    assert result.exit_code == 2
    assert "0 of 12 members look like images: .cap 6, .img 6: set source.glob to the names" in result.stderr
    assert result.stdout == ""
    config["source"]["glob"] = "*.img"
    result = command(config, tmp_path)
    assert result.exit_code == 0
    assert result.stdout.splitlines()[:2] == [
        "images     6 = 6 with rows + 0 without + 0 failed",
        "passed over: .cap 6",
    ]
    empty = tmp_path / "empty.parquet"
    pq.write_table(pa.table({"image": pa.array([], pa.binary())}), empty)
    with pytest.raises(InputError, match="holds no image, only empty shards"):
        run_detect(detect_config(str(empty), tmp_path / "none", tiny_models.pipeline))


def test_our_own_output_inside_the_source_is_left_out(tmp_path: Path, tiny_models: TinyModels) -> None:  # noqa: F811
    source = Path(write_folder(tmp_path / "in", range(6)))
    config = detect_config(str(source), source / "out", tiny_models.pipeline)
    first = run_detect(config)
    (source / "out/report").mkdir(exist_ok=True)
    (source / "out/report/overlay-01.jpg").write_bytes(png(0))
    (source / "drawn.jpg").write_bytes(to_jpeg(picture(0), 64))
    second = run_detect(config)
    assert (first["images"], second["images"], second["this_run"]) == (6, 6, 0)
    assert second["outcome"] == "nothing new"
    other = run_detect(detect_config(str(source), tmp_path / "other", tiny_models.pipeline))
    assert other["images"] == 6
    assert other["passed_over"] == {"drawings of ours": 1}


@pytest.mark.parametrize(
    ("layout", "relative", "make"),
    [
        ("xywh", False, lambda x, y: [x - 8, y - 8, 16, 16]),
        ("cxcywh", True, lambda x, y: [x / 40, y / 30, 16 / 40, 16 / 30]),
        (None, False, lambda x, y: {"ymin": y - 8, "xmin": x - 8, "ymax": y + 8, "xmax": x + 8}),
    ],
)
def test_boxes_in_another_layout(
    tmp_path: Path,
    tiny_models: TinyModels,  # noqa: F811
    layout: str | None,
    relative: bool,
    make: Any,
) -> None:
    blob = blob_of(0)
    assert blob is not None
    outside = make(1000.0, 1000.0) if not relative else make(70.0, 50.0)
    table = pa.table({"image": pa.array([png(0), png(0)], pa.binary()), "b": [[make(*blob)], [outside]]})
    pq.write_table(table, tmp_path / "a.parquet")
    boxes = {"column": "b", "layout": layout, "relative": relative}
    detector = {"pipeline": None, "boxes": boxes, "landmarks": tiny_models.pipeline}
    config = detect_config(str(tmp_path / "a.parquet"), tmp_path / "out", "", detector=detector)
    result = run_detect(config)
    (row,) = rows(tmp_path / "out")
    expected = [blob.x - 8, blob.y - 8, blob.x + 8, blob.y + 8]
    np.testing.assert_allclose([row["box"][side] for side in ("x0", "y0", "x1", "y1")], expected, atol=1e-4)
    assert abs(row["keypoints"][0]["x"] - blob.x) < 1
    assert result["failed"] == 1
    (failure,) = rows(tmp_path / "out", "failures")
    assert failure["reason"] == "bad_boxes"
    assert "outside the picture of 40 x 30" in failure["detail"]


def test_files_that_have_left_the_source_are_told(tmp_path: Path, tiny_models: TinyModels) -> None:  # noqa: F811
    for name in "ab":
        write_tar(tmp_path / f"in/{name}.tar", ["0.png", "1.png"])
    config = detect_config(str(tmp_path / "in"), tmp_path / "out", tiny_models.pipeline)
    assert "vanished" not in command(config, tmp_path).stdout
    (tmp_path / "in/a.tar").unlink()
    told = command(config, tmp_path).stdout
    assert "nothing new: every image is in the tables already" in told
    assert "images     4 = " in told
    assert "vanished: 1 shards on record are no longer in the source, their rows are kept" in told


def test_the_page_is_of_the_generation_that_was_run_last(
    tmp_path: Path,
    tiny_models: TinyModels,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    written: list[tuple[int, int]] = []
    monkeypatch.setattr(
        "flows.detect.report.write_detect_report",
        lambda report, write: written.append((report.images, report.instances)) or write("index.html", b"<p>"),
    )
    source = write_folder(tmp_path / "in", range(5))
    first = detect_config(source, tmp_path / "out", tiny_models.pipeline)
    second = detect_config(source, tmp_path / "out", tiny_models.pipeline, detector={"thresholds": {"score": 1.0}})
    for config in (first, second, first, first):
        result = run_detect(config)
        assert written[-1] == (result["images"], result["instances"])
    assert len(written) == 3  # the page of the last run but one was that of the last already


def test_a_delta_table_by_its_version(tmp_path: Path, tiny_models: TinyModels) -> None:  # noqa: F811
    """Versions share the shards of files they share: these are not done again when the pin is removed."""
    source = write_image_delta(tmp_path / "t", 30)  # versions 0 and 1, of 15 pictures each
    out = tmp_path / "out"
    pinned = detect_config(source, out, tiny_models.pipeline, source={"version": 0, "id_column": "id"})
    first = run_detect(pinned)
    assert len(rows(out, "images")) == 15
    second = run_detect(detect_config(source, out, tiny_models.pipeline, source={"id_column": "id"}))
    assert first["config_hash"] == second["config_hash"]
    once(out, 30)
    pinned["source"]["version"] = 7
    with pytest.raises(InputError, match=r"version 7 of the Delta table is not in its log, whose .* 0 and newest 1"):
        run_detect(pinned)
    folder = write_folder(tmp_path / "pictures", range(2))
    with pytest.raises(InputError, match=r"is a directory source, source\.version does not apply to it: leave it out"):
        run_detect(detect_config(folder, tmp_path / "other", tiny_models.pipeline, source={"version": 0}))

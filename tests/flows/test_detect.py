"""`landmarks detect` in one process: sources of every kind give the same rows, and a rerun adds only what is new."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import boto3
import numpy as np
import pandas as pd
import pyarrow.dataset as ds
import pytest
from deltalake import DeltaTable

from flows.detect import outcomes
from landmark_ops.errors import InputError
from landmark_ops.stores import locations
from tests.flows.detecting_data import (
    HEIGHT,
    WIDTH,
    TinyModels,
    bare_page,  # noqa: F401  a fixture
    blanks,
    blob_of,
    detect_config,
    file_name,
    found_by_index,
    index_of,
    model_files,  # noqa: F401  a fixture
    once,
    png,
    rows,
    run_detect,
    tar_bytes,
    tiny_models,  # noqa: F401  a fixture
    watched_shards,
    write_folder,
    write_image_delta,
    write_image_parquet,
    write_image_zarr,
    write_tars,
)

pytestmark = pytest.mark.usefixtures("bare_page")
N = 40


@pytest.fixture
def config(tmp_path: Path, tiny_models: TinyModels) -> dict[str, Any]:  # noqa: F811
    """N pictures in a folder."""
    return detect_config(write_folder(tmp_path / "pictures", range(N)), tmp_path / "out", tiny_models.pipeline)


@pytest.fixture(scope="module")
def reference(
    tmp_path_factory: pytest.TempPathFactory,
    prefect_server: str,
    model_files: TinyModels,  # noqa: F811
) -> dict[int, list[Any]]:
    """What is found in the N pictures, from a plain folder, a picture at a time on one worker."""
    folder = tmp_path_factory.mktemp("reference")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LANDMARKS_MODEL_SPECS", str(model_files.specs))
        patch.setattr("flows.detect.report.write_detect_report", lambda report, write: write("index.html", b"<p>"))
        source = write_folder(folder / "pictures", range(N))
        one = {"detector": {"batch": 1}, "cluster": {"workers": 1}}
        result = run_detect(detect_config(source, folder / "out", model_files.pipeline, **one))
    assert result["images"] == N
    return found_by_index(folder / "out")


def test_what_is_found_is_where_it_is(reference: dict[int, list[Any]]) -> None:
    assert sorted(reference) == list(range(N))
    for index, found in reference.items():
        blob = blob_of(index)
        assert len(found) == (blob is not None)
        for score, box, keypoints in found:
            assert blob is not None
            assert 0.5 < score <= 1
            assert box["x0"] < blob.x < box["x1"]
            assert box["y0"] < blob.y < box["y1"]
            assert len(keypoints) == 5
            assert abs(keypoints[0]["x"] - blob.x) < 0.5
            assert abs(keypoints[0]["y"] - blob.y) < 0.5
            assert keypoints[0]["z"] is None
            for point in keypoints:
                assert -0.5 <= point["x"] <= WIDTH - 0.5
                assert -0.5 <= point["y"] <= HEIGHT - 0.5


# --- all kinds of sources


def source_of(kind: str, place: Path) -> dict[str, Any]:
    """The N pictures as a source of some kind."""
    match kind:
        case "tree":
            (place / "tree").mkdir()
            (place / "tree/notes.png").write_bytes(b"not matched by the glob")
            return {"uri": write_folder(place / "tree", range(N), depth=True), "glob": "part-*/0*.png"}
        case "one tar":
            return {"uri": write_tars(place / "tars", N, N)}
        case "many tars":
            return {"uri": write_tars(place / "tars", N, 11)}
        case "tar.gz":
            return {"uri": write_tars(place / "tars", N, 11, ".tar.gz")}
        case "parquet":
            return {"uri": write_image_parquet(place / "x.parquet", N, 7), "column": "image"}
        case "parquet with ids":
            return {"uri": write_image_parquet(place / "x.parquet", N, 40), "id_column": "id"}
        case "delta":
            return {"uri": write_image_delta(place / "delta", N), "id_column": "id"}
        case "zarr":
            return {"uri": write_image_zarr(place / "x.zarr", N, 6), "column": "images"}
        case _:
            raise AssertionError(kind)


@pytest.mark.parametrize(
    ("kind", "format", "batch", "workers"),
    [
        ("tree", "directory", 16, 2),
        ("one tar", "webdataset", 7, 1),
        ("many tars", "auto", 2, 3),
        ("tar.gz", "auto", 64, 2),
        ("parquet", "parquet", 5, 2),
        ("parquet with ids", "auto", 16, 2),
        ("delta", "auto", 1, 2),
        ("zarr", "auto", 16, 2),
    ],
)
def test_every_kind_of_source_gives_the_same(
    tmp_path: Path,
    tiny_models: TinyModels,  # noqa: F811
    reference: dict[int, list[Any]],
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
    format: str,
    batch: int,
    workers: int,
) -> None:
    monkeypatch.setattr("landmark_ops.shards.row_groups.ROWS_PER_SHARD", 14)
    monkeypatch.setattr("landmark_ops.shards.zarr.ROWS_PER_SHARD", 12)
    source = source_of(kind, tmp_path)
    config = detect_config(
        source["uri"],
        tmp_path / "out",
        tiny_models.pipeline,
        source={**source, "format": format},
        detector={"batch": batch},
        cluster={"workers": workers},
    )
    result = run_detect(config)
    assert result["outcome"] == "done"
    assert (result["images"], result["without"], result["failed"]) == (N, blanks(range(N)), 0)
    once(tmp_path / "out", N)
    assert found_by_index(tmp_path / "out") == reference


@pytest.mark.s3
@pytest.mark.parametrize("kind", ["folder", "tars"])
def test_on_s3(s3_bucket: str, tiny_models: TinyModels, reference: dict[int, list[Any]], kind: str) -> None:  # noqa: F811
    client = boto3.client("s3")
    bucket = s3_bucket.removeprefix("s3://")
    if kind == "folder":
        for index in range(N):
            client.put_object(Bucket=bucket, Key=f"in/{index % 3}/{file_name(index)}", Body=png(index))
    else:
        for start in range(0, N, 16):
            data = tar_bytes(range(start, min(start + 16, N)))
            client.put_object(Bucket=bucket, Key=f"in/{start}.tar", Body=data)
    config = detect_config(f"{s3_bucket}/in", f"{s3_bucket}/lake/lights", tiny_models.pipeline)
    result = run_detect(config)
    assert (result["images"], result["without"]) == (N, blanks(range(N)))
    assert locations.exists(result["report"])
    table = {index: list[Any]() for index in range(N)}
    options = locations.delta_options(s3_bucket)
    for row in DeltaTable(result["tables"]["keypoints"], storage_options=options).to_pyarrow_table().to_pylist():
        table[index_of(row["image_id"])].append((row["score"], row["box"], row["keypoints"]))
    assert table == reference
    again = run_detect(config)
    assert (again["outcome"], again["this_run"], again["images"]) == ("nothing new", 0, N)
    if kind == "folder":
        for index in (1, 2):  # the same bytes once more, and others
            client.put_object(Bucket=bucket, Key=f"in/{index % 3}/{file_name(index)}", Body=png(index * index))
        changed = run_detect(config)
        assert (changed["outcome"], changed["this_run"], changed["rewritten"], changed["images"]) == ("done", 1, 1, N)
        assert run_detect(config)["outcome"] == "nothing new"
    left = client.list_objects_v2(Bucket=bucket, Prefix="lake/")["Contents"]
    assert not [item["Key"] for item in left if "/claims/" in item["Key"] or "/attempts/" in item["Key"]]
    assert not [item["Key"] for item in left if item["Key"].endswith(".lock")]


@pytest.mark.usefixtures("processes")
def test_worker_processes_give_the_same(
    tmp_path: Path,
    tiny_models: TinyModels,  # noqa: F811
    reference: dict[int, list[Any]],
) -> None:
    source = write_tars(tmp_path / "tars", N, 4)
    run_detect(detect_config(source, tmp_path / "out", tiny_models.pipeline, detector={"batch": 4}))
    once(tmp_path / "out", N)
    assert found_by_index(tmp_path / "out") == reference


# --- reruns


def test_a_rerun_does_nothing(config: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = run_detect(config)
    files = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*") if path.is_file()}
    seen = watched_shards(monkeypatch)
    second = run_detect(config)
    assert seen == []
    assert second == {**first, "outcome": "nothing new", "this_run": 0}
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*") if path.is_file()} == files


def test_batch_and_workers_make_no_new_generation(config: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    run_detect(config)
    seen = watched_shards(monkeypatch)
    config["detector"]["batch"] = 3
    config["cluster"]["workers"] = 1
    assert run_detect(config)["outcome"] == "nothing new"
    assert seen == []


def test_new_files_alone_are_processed(
    config: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reference: dict[int, list[Any]]
) -> None:
    first = run_detect({**config, "source": {**config["source"]}})
    before = {row["image_id"]: row["run_id"] for row in rows(tmp_path / "out", "images")}
    write_folder(tmp_path / "pictures", range(N, N + 5))
    monkeypatch.setattr("landmark_ops.shards.folder.FILES_PER_SHARD", 1)  # the first run's buckets count
    opened: list[int] = []
    plain = outcomes.open_member

    def watch(member: Any, *rest: Any) -> Any:
        opened.append(index_of(member.member))
        return plain(member, *rest)

    monkeypatch.setattr(outcomes, "open_member", watch)
    second = run_detect(config)
    assert sorted(opened) == list(range(N, N + 5))
    assert (first["this_run"], second["this_run"], second["images"]) == (N, 5, N + 5)
    assert second["config_hash"] == first["config_hash"]
    once(tmp_path / "out", N + 5)
    after = {row["image_id"]: row["run_id"] for row in rows(tmp_path / "out", "images")}
    assert {image: after[image] for image in before} == before
    found = found_by_index(tmp_path / "out")
    assert {index: found[index] for index in range(N)} == reference


def test_new_tars_alone_are_processed(
    tmp_path: Path,
    tiny_models: TinyModels,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    config = detect_config(write_tars(tmp_path / "tars", 20, 10), tmp_path / "out", tiny_models.pipeline)
    run_detect(config)
    seen = watched_shards(monkeypatch)
    write_tars(tmp_path / "more", 30, 10)
    shutil.move(tmp_path / "more/00020.tar", tmp_path / "tars/00020.tar")
    assert run_detect(config)["this_run"] == 10
    assert seen == ["00020.tar"]
    once(tmp_path / "out", 30)


@pytest.mark.parametrize("change", [{"thresholds": {"score": 0.95}}, {"max_pixels": 10_000}])
def test_another_config_is_another_generation(config: dict[str, Any], tmp_path: Path, change: dict[str, Any]) -> None:
    first = run_detect(config)
    old = [row for row in rows(tmp_path / "out", "images")]
    changed = {**config, "detector": {**config["detector"], **change}}
    second = run_detect(changed)
    assert second["config_hash"] != first["config_hash"]
    assert (second["images"], second["this_run"]) == (N, N)
    once(tmp_path / "out", N, generations=2)
    both = rows(tmp_path / "out", "images")
    assert sorted(r["image_id"] for r in both if r["config_hash"] == first["config_hash"]) == sorted(
        r["image_id"] for r in old
    )
    assert run_detect(config)["outcome"] == "nothing new"
    assert run_detect(changed)["outcome"] == "nothing new"


def test_a_threshold_counts(config: dict[str, Any], tmp_path: Path) -> None:
    run_detect(config)
    middle = float(np.median([row["score"] for row in rows(tmp_path / "out")]))
    expected = sum(row["score"] > middle for row in rows(tmp_path / "out"))
    config["detector"]["thresholds"] = {"score": middle}
    assert 0 < run_detect(config)["instances"] == expected


def test_two_sources_into_one_output(config: dict[str, Any], tmp_path: Path) -> None:
    run_detect(config)
    other = write_folder(tmp_path / "others", range(3))
    with pytest.raises(InputError, match=r"out: its rows come from .*pictures, this source is .*others, .* choose"):
        run_detect({**config, "source": {"uri": other}})
    once(tmp_path / "out", N)


# --- reading the tables


def test_tables_are_read_by_others(config: dict[str, Any], tmp_path: Path) -> None:
    result = run_detect(config)
    frame = pd.read_parquet(tmp_path / "out/keypoints")
    assert len(frame) == result["instances"]
    assert set(frame.landmark_set) == {"face-5"}
    table = ds.dataset(tmp_path / "out/images", format="parquet", partitioning="hive").to_table()
    assert table.num_rows == N
    row = rows(tmp_path / "out")[0]
    assert (row["width"], row["height"]) == (WIDTH, HEIGHT)
    assert row["model"] == "light-finder+light-points"
    assert len(row["model_sha256"]) == 64 * 2 + 1
    assert row["detected_at"].tzinfo is not None


def test_parquet_tables(config: dict[str, Any], tmp_path: Path, reference: dict[int, list[Any]]) -> None:
    config["output"]["format"] = "parquet"
    result = run_detect(config)
    frames = {
        name: ds.dataset(tmp_path / f"out/{name}", format="parquet", partitioning="hive").to_table().to_pylist()
        for name in ("keypoints", "images")
    }
    assert not list((tmp_path / "out").rglob("_delta_log"))
    assert len(frames["images"]) == N
    found = {index: list[Any]() for index in range(N)}
    for row in frames["keypoints"]:
        found[index_of(row["image_id"])].append((row["score"], row["box"], row["keypoints"]))
    assert found == reference
    assert run_detect(config) == {**result, "outcome": "nothing new", "this_run": 0}
    write_folder(tmp_path / "pictures", [N])
    assert run_detect(config)["images"] == N + 1


def test_boxes_alone(config: dict[str, Any], tmp_path: Path, tiny_models: TinyModels) -> None:  # noqa: F811
    config["detector"]["pipeline"] = tiny_models.boxes_only
    assert run_detect(config)["instances"] == N - blanks(range(N))
    assert {len(row["keypoints"]) for row in rows(tmp_path / "out")} == {0}

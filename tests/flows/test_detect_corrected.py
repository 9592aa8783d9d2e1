"""Corrected boxes, pictures and tables give corrected rows: the old ones go, none comes twice, nothing else moves."""

from __future__ import annotations

import os
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable, write_deltalake

from landmark_ops.errors import InputError, RunError
from landmark_ops.keypoints.schema import SCHEMAS
from landmark_ops.stores.tables import delta_tables
from landmark_ops.stores.tables.ledger import LEDGER
from landmark_ops.stores.tables.parquet_store import ParquetStore
from landmark_ops.stores.tables.tables import TableSet
from tests.flows.detecting_data import (
    TinyModels,
    bare_page,  # noqa: F401  a fixture
    blob_of,
    detect_config,
    model_files,  # noqa: F401  a fixture
    once,
    png,
    run_detect,
    tiny_models,  # noqa: F401  a fixture
    write_tars,
)

pytestmark = pytest.mark.usefixtures("bare_page")
FORMATS: list[str] = ["delta", "parquet"]
N = 6


def around(index: int, side: float) -> list[list[float]]:
    blob = blob_of(index)
    assert blob is not None
    return [[blob.x - side, blob.y - side, blob.x + side, blob.y + side]]


def write_boxes(path: Path, sides: dict[int, float], **columns: Any) -> str:
    """Pictures with one box each, half as wide as said."""
    boxes = [around(index, side) for index, side in sides.items()]
    table = {"image": pa.array([png(index) for index in sides], pa.binary()), "box": boxes} | columns
    pq.write_table(pa.table(table), path, row_group_size=2)
    os.utime(path, ns=(random.getrandbits(60),) * 2)  # a file written twice in one tick of the clock is another file
    return str(path)


def tables_of(out: Path, format: str) -> TableSet:
    return TableSet(str(out), SCHEMAS, format)


def widths(out: Path, format: str) -> dict[str, float]:
    rows = tables_of(out, format).dataset("keypoints").to_table().to_pylist()
    assert max(Counter(row["image_id"] for row in rows).values()) == 1
    return {row["image_id"]: round(row["box"]["x1"] - row["box"]["x0"], 3) for row in rows}


def ledger_tells_the_tables(out: Path, format: str, generation: str) -> None:
    tables = tables_of(out, format)
    told = Counter[str]()
    for record in tables.ledger(generation).values():
        told.update(record.rows)
    assert {name: told[name] for name in SCHEMAS} == {name: tables.dataset(name).count_rows() for name in SCHEMAS}


def boxes_config(source: str, out: Path, models: TinyModels, format: str, **more: Any) -> dict[str, Any]:
    detector = {"pipeline": None, "boxes": {"column": "box"}, "landmarks": models.pipeline}
    config = detect_config(source, out, "", detector=detector, source=more)
    config["output"]["format"] = format
    return config


@pytest.mark.parametrize("format", FORMATS)
def test_corrected_boxes_give_corrected_rows(tmp_path: Path, tiny_models: TinyModels, format: str) -> None:  # noqa: F811
    sides = dict.fromkeys(range(N), 8.0)
    source, out = write_boxes(tmp_path / "a.parquet", sides), tmp_path / "out"
    config = boxes_config(source, out, tiny_models, format)
    first = run_detect(config)
    write_boxes(tmp_path / "a.parquet", sides | {2: 5.0})
    second = run_detect(config)
    assert (second["images"], second["instances"], second["config_hash"]) == (N, N, first["config_hash"])
    assert widths(out, format) == {f"a.parquet/{index}": 10 if index == 2 else 16 for index in range(N)}
    ledger_tells_the_tables(out, format, first["config_hash"])
    write_boxes(tmp_path / "a.parquet", {0: 4.0, 1: 8.0})  # fewer rows
    third = run_detect(config)
    assert (third["outcome"], third["images"]) == ("done", 2)
    assert widths(out, format) == {"a.parquet/0": 8, "a.parquet/1": 16}
    ledger_tells_the_tables(out, format, first["config_hash"])
    assert run_detect(config)["outcome"] == "nothing new"
    if format == "delta":
        once(out, 2)


@pytest.mark.parametrize("format", FORMATS)
def test_rows_that_moved_within_a_file_are_known_by_content(
    tmp_path: Path,
    tiny_models: TinyModels,  # noqa: F811
    format: str,
) -> None:
    out = tmp_path / "out"
    config = detect_config(
        write_boxes(tmp_path / "a.parquet", dict.fromkeys((0, 1, 2), 8.0)), out, tiny_models.pipeline
    )
    config["output"]["format"] = format
    first = run_detect(config)
    write_boxes(tmp_path / "a.parquet", dict.fromkeys((5, 1, 2, 3), 8.0))  # one replaced, one more
    second = run_detect(config)
    assert (second["this_run"], second["images"]) == (2, 4)
    tables = tables_of(out, format)
    runs = {row["member"]: row["run_id"] for row in tables.dataset("images").to_table().to_pylist()}
    assert runs["1"] == runs["2"] != runs["0"] == runs["3"]
    (row,) = [row for row in tables.dataset("keypoints").to_table().to_pylist() if row["member"] == "0"]
    blob = blob_of(5)
    assert blob is not None
    assert abs(row["keypoints"][0]["x"] - blob.x) < 1
    ledger_tells_the_tables(out, format, first["config_hash"])
    write_boxes(tmp_path / "a.parquet", dict.fromkeys((5, 1, 2, 3), 3.0))  # other boxes, not asked for
    third = run_detect(config)
    assert (third["this_run"], third["images"]) == (0, 4)


def test_a_tar_written_anew(tmp_path: Path, tiny_models: TinyModels) -> None:  # noqa: F811
    source, out = write_tars(tmp_path / "tars", 5, 5), tmp_path / "out"
    whole = (tmp_path / "tars/00000.tar").read_bytes()
    (tmp_path / "tars/00000.tar").write_bytes(whole[:2500])
    config = detect_config(source, out, tiny_models.pipeline)
    first = run_detect(config)
    assert first["failed"] == 1  # cut off
    (tmp_path / "tars/00000.tar").write_bytes(whole)
    second = run_detect(config)
    assert (second["images"], second["failed"]) == (5, 0)
    assert 0 < second["this_run"] < 5
    once(out, 5)
    (tmp_path / "tars/00000.tar").write_bytes(whole.replace(png(0), bytes(len(png(0)))))
    assert run_detect(config)["failed"] == 1
    once(out, 5)


def test_rows_of_a_delta_table_that_moved_to_another_file(tmp_path: Path, tiny_models: TinyModels) -> None:  # noqa: F811
    uri, out = str(tmp_path / "t"), tmp_path / "out"

    def rows_of(sides: dict[int, float]) -> pa.Table:
        boxes = [around(index, side) for index, side in sides.items()]
        images = pa.array([png(index) for index in sides], pa.binary())
        return pa.table({"image": images, "box": boxes, "id": [f"i{index}" for index in sides]})

    write_deltalake(uri, rows_of(dict.fromkeys(range(3), 8.0)))
    write_deltalake(uri, rows_of(dict.fromkeys(range(3, 6), 8.0)), mode="append")
    config = boxes_config(uri, out, tiny_models, "delta", id_column="id")
    run_detect(config)
    plain = boxes_config(uri, tmp_path / "plain", tiny_models, "delta")
    run_detect(plain)
    DeltaTable(uri).delete("id IN ('i0', 'i1', 'i2')")
    write_deltalake(uri, rows_of({0: 8.0, 1: 5.0}), mode="append")  # one corrected, one as it was, one gone
    second = run_detect(config)
    expected = {f"i{index}": 16.0 for index in range(6)} | {"i1": 10.0}
    assert widths(out, "delta") == expected  # what only went is kept: a source may be cleared behind a run
    ledger_tells_the_tables(out, "delta", second["config_hash"])
    once(out, 6)
    DeltaTable(uri).optimize.compact()
    run_detect(config)
    assert widths(out, "delta") == expected
    once(out, 6)
    with pytest.raises(InputError, match=r"files on record have left the table .*: set source.id_column, or choose"):
        run_detect(plain)


def test_a_table_that_was_compacted_loses_only_what_is_replaced(tmp_path: Path, tiny_models: TinyModels) -> None:  # noqa: F811
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    for name in "ab":
        write_boxes(folder / f"{name}.parquet", dict.fromkeys(range(3), 8.0))
    config = boxes_config(str(folder), out, tiny_models, "delta")
    generation = run_detect(config)["config_hash"]
    for name in (*SCHEMAS, LEDGER):
        DeltaTable(f"{out}/{name}").optimize.compact()
    write_boxes(folder / "a.parquet", {0: 8.0, 1: 5.0, 2: 8.0})
    run_detect(config)
    assert sorted(widths(out, "delta").values()) == [10, 16, 16, 16, 16, 16]
    ledger_tells_the_tables(out, "delta", generation)


@pytest.mark.parametrize("step", range(1, 5))
def test_a_run_killed_while_it_replaces(
    tmp_path: Path,
    tiny_models: TinyModels,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
    step: int,
) -> None:
    sides, out = dict.fromkeys(range(N), 8.0), tmp_path / "out"
    config = boxes_config(write_boxes(tmp_path / "a.parquet", sides), out, tiny_models, "delta")
    run_detect(config)
    write_boxes(tmp_path / "a.parquet", sides | {2: 5.0})
    plain, calls = delta_tables.add_once, [0]

    def add(*args: Any) -> Any:
        calls[0] += 1
        if calls[0] == step:
            raise RunError("killed")
        return plain(*args)

    with monkeypatch.context() as patch:
        patch.setattr("landmark_ops.stores.tables.delta_tables.add_once", add)
        with pytest.raises(RunError, match="killed"):
            run_detect(config)
    run_detect(config)
    assert sorted(widths(out, "delta").values()) == [10, 16, 16, 16, 16, 16]
    once(out, N)


def test_a_shard_that_grows_loses_nothing_where_a_run_was_cut_short(
    tmp_path: Path,
    tiny_models: TinyModels,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Parquet tables: files of a round that never reached the ledger are no rows on record."""
    source = tmp_path / "in"
    source.mkdir()
    (source / "0.png").write_bytes(png(0))
    config = detect_config(str(source), tmp_path / "out", tiny_models.pipeline)
    config["output"]["format"] = "parquet"
    run_detect(config)
    for index in range(1, 6):
        (source / f"{index}.png").write_bytes(png(index))
    with monkeypatch.context() as patch:
        patch.setattr(ParquetStore, "write_ledger", lambda *_: (_ for _ in ()).throw(RunError("killed")))
        with pytest.raises(RunError, match="killed"):
            run_detect(config)
    assert run_detect(config)["images"] == 6
    images = tables_of(tmp_path / "out", "parquet").dataset("images").to_table(columns=["image_id"])
    assert sorted(images.column(0).to_pylist()) == [f"{index}.png" for index in range(6)]


def test_an_id_that_occurs_twice_is_flagged(tmp_path: Path, tiny_models: TinyModels) -> None:  # noqa: F811
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    write_boxes(folder / "b.parquet", dict.fromkeys(range(4), 8.0), id=["a", "b", "a", None])
    config = detect_config(str(folder), out, tiny_models.pipeline, source={"id_column": "id"})
    assert run_detect(config)["failed"] == 1
    write_boxes(folder / "a.parquet", dict.fromkeys(range(3), 8.0), id=["b", "c", None])  # sorts before, comes after
    result = run_detect(config)
    assert (result["images"], result["failed"]) == (7, 2)
    failures = tables_of(out, "delta").dataset("failures").to_table().to_pylist()
    assert {(row["image_id"], row["reason"]) for row in failures} == {
        ("b.parquet/2", "duplicate_member"),
        ("a.parquet/0", "duplicate_member"),
    }
    once(out, 7)

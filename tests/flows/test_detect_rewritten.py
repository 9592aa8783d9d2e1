"""Pictures rewritten under their old names are read again and give new rows; the others are not touched."""

from __future__ import annotations

import itertools
import os
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from typer.testing import CliRunner

from flows.cli.app import app
from landmark_ops.errors import RunError
from landmark_ops.keypoints.schema import SCHEMAS
from landmark_ops.shards.folder import FolderShard
from landmark_ops.stores.tables import delta_tables
from landmark_ops.stores.tables.ledger import LEDGER
from landmark_ops.stores.tables.parquet_store import ParquetStore
from landmark_ops.stores.tables.store import TableStore
from landmark_ops.stores.tables.tables import TableSet
from tests.flows.detecting_data import (
    TinyModels,
    bare_page,  # noqa: F401  a fixture
    detect_config,
    model_files,  # noqa: F401  a fixture
    png,
    run_detect,
    tiny_models,  # noqa: F401  a fixture
    write_folder,
)

pytestmark = pytest.mark.usefixtures("bare_page", "signals")
FORMATS = ["delta", "parquet"]
OF_THE_RUN = {"run_id", "config_hash", "detected_at", "failed_at"}
N = 8


def config_of(source: Path, out: Path, models: TinyModels, format: str) -> dict[str, Any]:
    config = detect_config(str(source), out, models.pipeline)
    config["output"]["format"] = format
    return config


def rewrite(path: Path, index: int | None, seconds: float) -> None:
    """Another picture, or the same where `index` is None, under a time that differs by so many seconds."""
    before = path.stat().st_mtime_ns
    if index is not None:
        path.write_bytes(png(index))
    os.utime(path, ns=(before + int(seconds * 1e9),) * 2)


def table(out: Path, format: str, name: str) -> list[dict[str, Any]]:
    found = TableSet(str(out), SCHEMAS, format).dataset(name).to_table().to_pylist()
    return sorted(found, key=lambda row: (row["image_id"], row.get("instance", 0)))


def content(out: Path, format: str) -> dict[str, list[dict[str, Any]]]:
    """All rows but for when and by which run they were made."""
    return {
        name: [{key: value for key, value in row.items() if key not in OF_THE_RUN} for row in table(out, format, name)]
        for name in SCHEMAS
    }


def is_whole(out: Path, format: str, generation: str) -> None:
    """The ledger tells as many rows as there are; each image is there once, with its rows or its failure."""
    tables = TableSet(str(out), SCHEMAS, format)
    told = Counter[str]()
    for record in tables.ledger(generation).values():
        told.update(record.rows)
    assert {name: told[name] for name in SCHEMAS} == {name: tables.dataset(name).count_rows() for name in SCHEMAS}
    images = table(out, format, "images")
    assert max(Counter(row["image_id"] for row in images).values()) == 1
    failed = {row["image_id"] for row in table(out, format, "failures")}
    assert failed == {row["image_id"] for row in images if row["instances"] is None}
    found = Counter(row["image_id"] for row in table(out, format, "keypoints"))
    assert found == Counter({row["image_id"]: row["instances"] for row in images if row["instances"]})


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files that are read."""
    names: list[str] = []
    plain = FolderShard._read_local

    def read(self: FolderShard, file: Any) -> Any:
        names.append(file.name)
        return plain(self, file)

    monkeypatch.setattr(FolderShard, "_read_local", read)
    return names


@pytest.mark.parametrize("format", FORMATS)
def test_only_pictures_that_were_rewritten_are_read_again(
    tmp_path: Path,
    tiny_models: TinyModels,  # noqa: F811
    opened: list[str],
    format: str,
) -> None:
    source, out = Path(write_folder(tmp_path / "in", range(N))), tmp_path / "out"
    (source / "broken.png").write_bytes(b"")
    config = config_of(source, out, tiny_models, format)
    first = run_detect(config)
    assert (len(opened), first["failed"], first["rewritten"]) == (N + 1, 1, 0)
    before = {row["image_id"]: row for row in table(out, format, "images")}
    opened.clear()
    rewrite(source / "00000.png", 20, 10)
    rewrite(source / "00003.png", 21, -86_400)  # a clock that went back
    rewrite(source / "00005.png", None, 10)  # touched
    rewrite(source / "broken.png", 22, 0)  # told by its size alone
    second = run_detect(config)
    assert sorted(opened) == ["00000.png", "00003.png", "00005.png", "broken.png"]
    assert (second["outcome"], second["images"], second["failed"]) == ("done", N + 1, 0)
    assert (second["this_run"], second["rewritten"]) == (3, 3)
    after = {row["image_id"]: row for row in table(out, format, "images")}
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {"00000.png", "00003.png", "broken.png"}
    is_whole(out, format, first["config_hash"])
    fresh = tmp_path / "fresh"
    run_detect(config_of(source, fresh, tiny_models, format))
    assert content(out, format) == content(fresh, format)
    opened.clear()
    third = run_detect(config)
    assert (third["outcome"], third["rewritten"], opened) == ("nothing new", 0, [])


@pytest.mark.parametrize("format", FORMATS)
def test_a_touched_picture_is_read_once_and_keeps_its_rows(
    tmp_path: Path,
    tiny_models: TinyModels,  # noqa: F811
    opened: list[str],
    format: str,
) -> None:
    source, out = Path(write_folder(tmp_path / "in", range(N))), tmp_path / "out"
    config = config_of(source, out, tiny_models, format)
    run_detect(config)
    before = {name: table(out, format, name) for name in SCHEMAS}
    opened.clear()
    rewrite(source / "00001.png", None, 5)
    for expected in (["00001.png"], []):
        result = run_detect(config)
        assert (result["outcome"], result["rewritten"], opened) == ("nothing new", 0, expected)
        opened.clear()
    assert {name: table(out, format, name) for name in SCHEMAS} == before


def test_a_rewritten_picture_that_cannot_be_read_is_a_failure(
    tmp_path: Path,
    tiny_models: TinyModels,  # noqa: F811
) -> None:
    source, out = Path(write_folder(tmp_path / "in", range(N))), tmp_path / "out"
    (source / "00000.png").write_bytes(b"")
    config = config_of(source, out, tiny_models, "delta")
    generation = run_detect(config)["config_hash"]
    (source / "00000.png").unlink()
    os.mkfifo(source / "00000.png")  # fails without a byte as well, but for another reason
    (source / "00002.png").write_bytes(b"no picture")
    (source / "00004.png").unlink()  # gone: its rows are kept
    assert run_detect(config)["rewritten"] == 2
    failures = {row["image_id"]: row["reason"] for row in table(out, "delta", "failures")}
    assert failures["00000.png"] == "not_a_file"
    assert set(failures) == {"00000.png", "00002.png"}
    assert "00004.png" in {row["image_id"] for row in table(out, "delta", "images")}
    is_whole(out, "delta", generation)


def test_the_command_says_what_was_rewritten(tmp_path: Path, tiny_models: TinyModels) -> None:  # noqa: F811
    source = Path(write_folder(tmp_path / "in", range(N)))
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(config_of(source, tmp_path / "out", tiny_models, "delta")))
    assert "rewritten" not in CliRunner().invoke(app, ["detect", str(path), "--quiet"]).stdout
    rewrite(source / "00000.png", 20, 1)
    told = CliRunner().invoke(app, ["detect", str(path), "--quiet"]).stdout
    assert "rewritten: 1 pictures were written anew under their names, their rows are replaced" in told
    assert "rewritten" not in CliRunner().invoke(app, ["detect", str(path), "--quiet"]).stdout


def forget_marks(out: Path) -> None:
    """The ledger as earlier releases wrote it: versions are digests of names alone."""
    for file in (out / LEDGER).rglob("*.parquet"):
        held = pq.ParquetFile(file).read()
        at = held.schema.get_field_index("shard_version")
        names = pa.array([one.partition(":")[0] for one in held.column(at).to_pylist()], held.schema.field(at).type)
        pq.write_table(held.set_column(at, held.schema.field(at), names), file, write_page_checksum=True)


def test_tables_without_marks_are_no_reason_to_read_again(
    tmp_path: Path,
    tiny_models: TinyModels,  # noqa: F811
    opened: list[str],
) -> None:
    source, out = Path(write_folder(tmp_path / "in", range(N))), tmp_path / "out"
    config = config_of(source, out, tiny_models, "parquet")
    run_detect(config)
    forget_marks(out)
    opened.clear()
    assert (run_detect(config)["outcome"], opened) == ("nothing new", [])
    rewrite(source / "00000.png", 20, 3600)  # later than its rows
    result = run_detect(config)
    assert (result["rewritten"], opened) == (1, ["00000.png"])
    opened.clear()
    assert (run_detect(config)["outcome"], opened) == ("nothing new", [])
    rewrite(source / "00000.png", 21, -7200)  # from here on marks are on record
    assert (run_detect(config)["rewritten"], opened) == (1, ["00000.png"])


def dying_at(step: int, plain: Callable[..., Any]) -> Callable[..., Any]:
    """A function that fails when it is called for the time `step`."""
    calls = itertools.count(1)

    def call(*args: Any) -> Any:
        if next(calls) == step:
            raise RunError("killed")
        return plain(*args)

    return call


@pytest.mark.parametrize(("format", "steps"), [("delta", range(1, 5)), ("parquet", range(3, 8))])
def test_killed_while_it_replaces_it_is_finished_by_the_next_run(
    tmp_path: Path,
    tiny_models: TinyModels,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
    format: str,
    steps: range,
) -> None:
    """Each commit of Delta tables, and each write of a file of Parquet tables, may be the last one of a run."""
    finished = 0
    for step in steps:
        folder = tmp_path / str(step)
        source, out = Path(write_folder(folder / "in", range(3))), folder / "out"
        config = config_of(source, out, tiny_models, format)
        generation = run_detect(config)["config_hash"]
        rewrite(source / "00000.png", 20, 1)
        (source / "00001.png").write_bytes(b"")
        with monkeypatch.context() as patch, suppress(RunError):
            if format == "delta":
                patch.setattr(delta_tables, "add_once", dying_at(step, delta_tables.add_once))
            else:
                patch.setattr(ParquetStore, "write_rows", dying_at(step, TableStore.write_rows))
            run_detect(config)
            finished += 1
        run_detect(config)
        assert run_detect(config)["outcome"] == "nothing new"
        is_whole(out, format, generation)
        run_detect(config_of(source, folder / "fresh", tiny_models, format))
        assert content(out, format) == content(folder / "fresh", format)
    assert finished <= len(steps) - 4

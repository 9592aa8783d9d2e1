"""A shard format registered from outside, by one file, is known to configs, `landmarks detect` and `draw`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner, Result

from flows.cli.app import app
from landmark_ops.configs.detect import ShardsConfig
from landmark_ops.shards.format import SHARD_FORMATS
from tests.flows.detecting_data import (
    TinyModels,
    bare_page,  # noqa: F401  a fixture
    blanks,
    detect_config,
    model_files,  # noqa: F401  a fixture
    once,
    png,
    rows,
    tiny_models,  # noqa: F401  a fixture
    write_folder,
)

BUILT_IN = ["directory", "webdataset", "parquet", "delta", "zarr"]


@pytest.fixture
def hex_format() -> Iterator[None]:
    from tests.toys.toy_shards import HexFormat

    if "hex" not in SHARD_FORMATS:
        SHARD_FORMATS.register(HexFormat())
    yield
    SHARD_FORMATS.unregister("hex")


def command(*words: str) -> Result:
    return CliRunner().invoke(app, list(words))


def detect(config: dict[str, Any], path: Path) -> Result:
    path.write_text(yaml.safe_dump(config))
    return command("detect", str(path), "--quiet")


def formats_in_schema() -> list[str]:
    found: list[str] = ShardsConfig.model_json_schema()["properties"]["format"]["enum"]
    return found


def test_the_formats_that_configs_name() -> None:
    """A Delta table is recognised by its log: its files alone are no source."""
    assert [one.name for one in sorted(SHARD_FORMATS, key=lambda one: one.order)] == BUILT_IN
    assert formats_in_schema() == ["auto", *(name for name in BUILT_IN if name != "delta")]


def test_a_folder_with_the_marks_of_several_is_none(tmp_path: Path, hex_format: None) -> None:
    write_folder(tmp_path, range(2))
    (tmp_path / "a.hex").write_text(png(2).hex())
    told = detect(detect_config(str(tmp_path), tmp_path / "out", "face-5"), tmp_path / "config.yaml")
    assert told.exit_code == 2
    assert "could be read as directory (00000.png), hex (a.hex): choose one with source.format" in told.output


@pytest.mark.usefixtures("bare_page", "signals")
@pytest.mark.parametrize("format", ["auto", "hex"])
def test_a_shard_format_of_somebody_else(
    tmp_path: Path,
    tiny_models: TinyModels,  # noqa: F811
    hex_format: None,
    format: str,
) -> None:
    source, out = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    for at in range(2):
        (source / f"{at}.hex").write_text("\n".join(png(index).hex() for index in range(at * 10, at * 10 + 10)))
    config = detect_config(str(source), out, tiny_models.pipeline, source={"format": format})
    told = detect(config, tmp_path / "config.yaml")
    assert told.exit_code == 0, told.output
    once(out, 20)
    assert len(rows(out)) == 20 - blanks(range(20))
    assert "hex" in formats_in_schema()
    drawn = command("draw", str(out), "--out", str(tmp_path / "drawn"), "--sample", "3")
    assert drawn.exit_code == 0, drawn.output
    assert len(list((tmp_path / "drawn").glob("*.jpg"))) == 4  # three pictures and their sheet


@pytest.mark.parametrize("format", ["tfrecord", 3])
def test_an_unknown_format_is_answered_with_all(tmp_path: Path, format: object) -> None:
    told = detect(detect_config("in", tmp_path, "face-5", source={"format": format}), tmp_path / "config.yaml")
    assert told.exit_code == 2
    expected = "source.format: input should be 'auto', 'directory', 'webdataset', 'parquet' or 'zarr', got "
    assert expected in told.output.replace("\n", " ")

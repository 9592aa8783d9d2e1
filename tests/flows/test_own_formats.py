"""Formats registered from outside, one file each, are known to every command."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import landmark_ops
from flows.cli.inspect import describe_place
from flows.cli.plan import describe_plan
from flows.cli.verify import verify_place
from flows.compare.comparison import compare_address
from landmark_ops import InputError, layout_init, open_rows
from landmark_ops.configs.embed import EmbedConfig, parse_config
from landmark_ops.stores.embeddings.format import OUTPUTS, open_output
from landmark_ops.stores.sources.format import SOURCES
from landmark_ops.stores.sources.source import format_at, open_values
from tests.flows.running import arrays, make_config, points, run_embed, write_npy


@pytest.fixture
def text_format() -> Iterator[None]:
    from tests.toys.toy_source import TextFormat

    if "numbers" not in SOURCES:
        SOURCES.register(TextFormat())
    yield
    SOURCES.unregister("numbers")


def test_formats_are_asked_in_their_order(tmp_path: Path) -> None:
    """A folder with the marks of all three: the one with a document of its own has it, a listing comes last."""
    assert [one.name for one in sorted(SOURCES, key=lambda one: one.order)] == ["zarr", "delta", "npy", "parquet"]
    (tmp_path / "part.parquet").touch()
    assert format_at(str(tmp_path)).name == "parquet"
    (tmp_path / "_delta_log").mkdir()
    assert format_at(str(tmp_path)).name == "delta"
    (tmp_path / ".zgroup").touch()
    assert format_at(str(tmp_path)).name == "zarr"


def test_a_source_format_of_somebody_else(tmp_path: Path, text_format: None) -> None:
    """Opened by open_rows, as the source of plan, inspect and embed, and as a target."""
    X = points().astype(np.float64)
    uri = str(tmp_path / "x.numbers")
    np.savetxt(uri, X, fmt="%.17g")
    np.testing.assert_array_equal(open_rows(uri).read(5, 9), X[5:9])
    np.testing.assert_array_equal(open_values(uri, column="2").read(0, 400), X[:, [2]])
    with pytest.raises(InputError, match=r"is a numbers source, source\.array does not apply .* do: column\)$"):
        open_rows(uri, array="a")
    (tmp_path / "x.dat").touch()
    with pytest.raises(InputError, match=r"known are \.npy and \.parquet, \.parq, \.pq and \.numbers$"):
        open_rows(tmp_path / "x.dat")
    with pytest.raises(InputError, match=r"looked for .*, a file of numbers\)"):
        open_rows(tmp_path / "absent.numbers")
    config = make_config(uri, tmp_path / "out.zarr")
    assert "400 rows of 6" in describe_plan(EmbedConfig.model_validate(config))[0]
    assert describe_place(uri, None, None) == [f"{uri}: 400 rows of 6 float64"]
    run_embed(config)
    same = make_config(write_npy(tmp_path / "x.npy", X), tmp_path / "same.zarr")
    run_embed(same)
    np.testing.assert_array_equal(arrays(tmp_path / "out.zarr")[0], arrays(tmp_path / "same.zarr")[0])
    assert landmark_ops.open_map(tmp_path / "out.zarr")(X[:3]).shape == (3, 3)


@pytest.fixture
def folder_format() -> Iterator[None]:
    from tests.toys.toy_output import FolderFormat

    if "folder" not in OUTPUTS:
        OUTPUTS.register(FolderFormat())
    yield
    OUTPUTS.unregister("folder")


def test_an_output_format_of_somebody_else(tmp_path: Path, folder_format: None, processes: None) -> None:
    """Planned, written by worker processes, reported, verified, replaced by a successor and read back."""
    X = points()
    source = write_npy(tmp_path / "x.npy", X)
    run_embed(make_config(source, tmp_path / "same.zarr"))
    expected, residual = arrays(tmp_path / "same.zarr")
    uri = str(tmp_path / "out.folder")
    config = make_config(source, uri, output={"format": "folder"})
    assert "400 rows of 6" in describe_plan(EmbedConfig.model_validate(config))[0]
    assert run_embed(config)["outcome"] == "done"
    assert (tmp_path / "out.report/index.html").exists()
    store = open_output(uri)
    np.testing.assert_array_equal(store.read(0, 400)[0], expected)
    np.testing.assert_array_equal(store.read(30, 50)[1], residual[30:50])
    np.testing.assert_array_equal(landmark_ops.open_map(uri)(X), landmark_ops.open_map(tmp_path / "same.zarr")(X))
    assert layout_init(uri, 2).shape == (400, 2)
    lines = describe_place(uri, None, None)
    assert lines[0] == f"{uri}: embedding by landmark_mds, complete"
    assert lines[-1].startswith("chunks  all 1 there")
    (found,) = verify_place(uri)
    assert (found.checked["chunks of rows"], found.damaged) == (1, [])
    assert run_embed(config)["outcome"] == "already complete"
    again = make_config(source, uri, output={"format": "folder", "overwrite": True}, method={"n_components": 2})
    assert run_embed(again)["components"] == 2
    assert open_output(uri).shape == (400, 2)


@pytest.mark.parametrize(("output", "page"), [("o/x.folder", "o/x"), ("o/x.zarr/", "o/x"), ("o/x.y", "o/x.y")])
def test_a_comparison_lies_beside_its_output(folder_format: None, output: str, page: str) -> None:
    """Where its report would be, whatever the format."""
    assert compare_address(output) == f"{page}.compare"


def test_several_methods_are_named_by_their_format(tmp_path: Path, folder_format: None) -> None:
    config = make_config("x.npy", tmp_path / "out", output={"format": "folder"})
    methods = [{"name": "landmark_mds"}, {"name": "nystroem"}]
    del config["method"]
    parts = EmbedConfig.model_validate({**config, "methods": methods}).single()
    assert [Path(part.output.uri).name for part in parts.values()] == ["landmark_mds.folder", "nystroem.folder"]


def test_output_formats_of_a_config() -> None:
    text = "source: {uri: x.npy}\noutput: {uri: out.zarr%s}\n"
    plain = parse_config(text % "")
    assert plain.output.format == "zarr"
    assert parse_config(text % ", format: zarr, store: zarr").result_hash() == plain.result_hash()
    with pytest.raises(InputError, match=r"^config: output\.format: input should be 'zarr', got 'zar'$"):
        parse_config(text % ", format: zar")
    format = EmbedConfig.model_json_schema()["$defs"]["OutputConfig"]["properties"]["format"]
    assert (format["enum"], format["default"]) == (["zarr"], "zarr")

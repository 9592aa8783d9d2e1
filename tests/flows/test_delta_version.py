"""A Delta source by its version: what grows beside it is nothing to it, before, during and after a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from deltalake import DeltaTable, WriterProperties, write_deltalake

from flows.compare.comparison import open_comparison
from landmark_ops.configs.embed import CompareConfig
from landmark_ops.errors import InputError
from landmark_ops.stores.sources.source import open_rows
from tests.flows.interrupting import committed, interrupt, slow_command, watching
from tests.flows.running import arrays, attributes, make_config, points, run_embed, write_npy

pytestmark = pytest.mark.usefixtures("bare_report", "many_tasks")

X = points()
GROUPS = WriterProperties(max_row_group_size=50)


def append(table: Path, rows: Any) -> None:
    columns = {"vec": pa.array(rows.tolist(), pa.list_(pa.float32())), "y": rows.sum(axis=1)}
    write_deltalake(table, pa.table(columns), mode="append", writer_properties=GROUPS)


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Versions 0 and 1, of 400 rows together."""
    append(tmp_path / "t", X[:150])
    append(tmp_path / "t", X[150:])
    return tmp_path / "t"


def equal(out: Path, expected: Path) -> None:
    assert attributes(out)["status"] == "complete"
    for ours, theirs in zip(arrays(out), arrays(expected), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_the_version_read_is_recorded_and_can_be_kept_to(tmp_path: Path, table: Path) -> None:
    out = tmp_path / "out.zarr"
    config = make_config(str(table), out)
    run_embed(config)
    assert attributes(out)["source"]["version"] == 1
    append(table, points(seed=1))
    with pytest.raises(
        InputError,
        match=r"holds a complete embedding made with version 1 of the source instead of 2 \(set source\.version: 1 to "
        r"keep to it\): set output\.overwrite: true to replace it",
    ):
        run_embed(config)
    pinned = make_config(str(table), out, source={"version": 1})
    assert run_embed(pinned)["outcome"] == "already complete"
    with pytest.raises(InputError, match="made with version 1 of the source instead of 0"):
        run_embed(make_config(str(table), out, source={"version": 0}))
    older = make_config(str(table), tmp_path / "older.zarr", source={"version": 0})
    run_embed(older)
    assert attributes(tmp_path / "older.zarr")["source"]["version"] == 0
    run_embed(make_config(write_npy(tmp_path / "x.npy", X[:150]), tmp_path / "expected.zarr"))
    equal(tmp_path / "older.zarr", tmp_path / "expected.zarr")
    assert "version" not in attributes(tmp_path / "expected.zarr")["source"]


def test_interrupted_and_taken_up_after_the_table_has_changed(tmp_path: Path, table: Path) -> None:
    """Grown, compacted, its log in a checkpoint: the version stays the same."""
    run_embed(make_config(str(table), tmp_path / "expected.zarr"))
    config = make_config(str(table), tmp_path / "out.zarr", source={"version": 1})
    interrupt(config)
    append(table, points(seed=1))
    DeltaTable(table).optimize.compact()
    DeltaTable(table).create_checkpoint()
    with pytest.raises(InputError, match="holds an unfinished embedding made with version 1 of the source instead of"):
        run_embed(make_config(str(table), tmp_path / "out.zarr"))
    assert run_embed(config)["outcome"] == "resumed"
    equal(tmp_path / "out.zarr", tmp_path / "expected.zarr")


@pytest.mark.slow
def test_killed_and_taken_up_after_the_table_has_grown(tmp_path: Path, table: Path) -> None:
    """The output names the version that was the latest when the killed run began, and the next run can pin it."""
    run_embed(make_config(str(table), tmp_path / "expected.zarr"))
    config = make_config(str(table), tmp_path / "out.zarr")
    with slow_command(tmp_path, config, in_process=1 << 20, seconds=0.3) as process:
        append(table, points(seed=1))
        process.kill()
        process.wait()
    assert attributes(tmp_path / "out.zarr")["status"] == "partial"
    done = committed(tmp_path / "out.zarr")
    config["source"]["version"] = attributes(tmp_path / "out.zarr")["source"]["version"]
    with watching() as seen:
        assert run_embed(config)["outcome"] == "resumed"
    assert len(seen["verify"]) >= done >= 2
    equal(tmp_path / "out.zarr", tmp_path / "expected.zarr")


@pytest.mark.parametrize("source", [{}, {"version": 1}], ids=["latest", "pinned"])
def test_commits_during_a_run_are_nothing_to_it(tmp_path: Path, table: Path, source: dict[str, int]) -> None:
    run_embed(make_config(str(table), tmp_path / "expected.zarr"))

    def act(stage: str, done: int) -> None:
        if (stage, done) == ("extend", 3):
            append(table, points(seed=1))

    with watching(act):
        run_embed(make_config(str(table), tmp_path / "out.zarr", source=source))
    assert DeltaTable(table).version() == 2
    assert attributes(tmp_path / "out.zarr")["source"]["version"] == 1
    equal(tmp_path / "out.zarr", tmp_path / "expected.zarr")


def test_files_of_the_version_written_during_a_run_are_noticed(tmp_path: Path, table: Path) -> None:
    file = Path(open_rows(table).places[0])

    def act(stage: str, done: int) -> None:
        if (stage, done) == ("extend", 3):
            file.write_bytes(file.read_bytes())

    with pytest.raises(Exception, match="changed while it was read"), watching(act):
        run_embed(make_config(str(table), tmp_path / "out.zarr"))


def test_a_target_is_of_the_same_version(tmp_path: Path, table: Path) -> None:
    config = make_config(str(table), tmp_path / "out.zarr", source={"version": 0, "column": "vec"})
    config |= {"method": {"name": "nystroem_ridge"}, "target": {"column": "y"}}
    append(table, points(seed=1))
    run_embed(config)
    assert attributes(tmp_path / "out.zarr")["source"]["shape"][0] == 150


def test_compare_and_refusals(tmp_path: Path, table: Path) -> None:
    config = make_config(str(table), tmp_path / "out.zarr", source={"version": 0})
    assert open_comparison(CompareConfig.model_validate(config)).rows.n == 150
    with pytest.raises(InputError, match=r"version 2 of the Delta table is not .* oldest .* 0 and newest 1"):
        run_embed(make_config(str(table), tmp_path / "out.zarr", source={"version": 2}))
    with pytest.raises(InputError, match=r"npy source, source\.version does not apply to it"):
        run_embed(make_config(write_npy(tmp_path / "x.npy", X), tmp_path / "out.zarr", source={"version": 2}))
    assert not (tmp_path / "out.zarr").exists()

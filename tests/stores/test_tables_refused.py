"""Things that are not our tables, or have other columns, are refused and left as they are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import write_deltalake

from landmark_ops.errors import InputError, RunError
from landmark_ops.stores.tables.tables import TableSet
from tests.stores.table_writers import open_tables, shard_rows
from tests.stores.test_tables import FORMATS, write


@pytest.mark.parametrize("form", FORMATS)
def test_tables_of_other_columns_are_refused(tmp_path: Path, form: str) -> None:
    other = pa.schema([pa.field("shard", pa.string()), pa.field("config_hash", pa.string()), pa.field("x", pa.int64())])
    uri = str(tmp_path / "out")
    before = TableSet(uri, {"keypoints": other}, form)
    before.prepare()
    content = pa.table({"shard": ["a"], "config_hash": ["c"], "x": [1]}, schema=other)
    write(before, shard_rows("a", [1], generation="c")._replace(tables={"keypoints": content}))
    with pytest.raises(InputError, match=r"out/keypoints: is a table of other columns \(lacks box, .*also has x\)"):
        open_tables(uri, form)


def test_another_type_of_a_column_is_refused(tmp_path: Path) -> None:
    tables = open_tables(str(tmp_path / "a"))
    schema = tables.schemas["keypoints"]
    at = schema.get_field_index("score")
    other = TableSet(str(tmp_path / "b"), {"keypoints": schema.set(at, pa.field("score", pa.float64()))})
    other.prepare()
    with pytest.raises(InputError, match="has another type of score"):
        open_tables(str(tmp_path / "b"))


def test_what_is_no_table_of_ours_is_never_touched(tmp_path: Path) -> None:
    (tmp_path / "out" / "keypoints").mkdir(parents=True)
    (tmp_path / "out" / "keypoints" / "thesis.docx").write_text("years of work")
    for form in FORMATS:
        with pytest.raises(InputError, match="never overwritten: choose another output"):
            open_tables(str(tmp_path / "out"), form)
    write_deltalake(str(tmp_path / "other" / "keypoints"), pa.table({"a": [1]}))
    with pytest.raises(InputError, match="is a table of other columns"):
        open_tables(str(tmp_path / "other"))
    with pytest.raises(InputError, match=r"holds a Delta table: set output\.format: delta"):
        open_tables(str(tmp_path / "other"), "parquet")
    open_tables(str(tmp_path / "fresh"), "parquet")
    write(open_tables(str(tmp_path / "fresh"), "parquet"), shard_rows("a", [1]))
    with pytest.raises(InputError, match="holds something that is no Delta table"):
        open_tables(str(tmp_path / "fresh"))
    with pytest.raises(InputError, match="table format 'csv' is unknown"):
        TableSet(str(tmp_path), {}, "csv")
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        open_tables(str(tmp_path / "file"))


def test_rows_of_another_shard_or_schema_are_refused(tmp_path: Path) -> None:
    tables = open_tables(str(tmp_path / "out"))
    with pytest.raises(InputError, match=r"rows of shard \['a'\] given as those of 'b'"):
        tables.stage(shard_rows("a", [1])._replace(shard="b"))
    with pytest.raises(InputError, match=r"rows of config_hash \['c0ffee'\] given as those of 'beef'"):
        tables.stage(shard_rows("a", [1])._replace(config_hash="beef"))
    rows = shard_rows("a", [1])
    with pytest.raises(InputError, match="table keypoints: rows have columns"):
        tables.stage(rows._replace(tables={**rows.tables, "keypoints": pa.table({"shard": ["a"]})}))


def test_a_full_disk_names_the_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tables = open_tables(str(tmp_path / "out"))

    def full(source: Any, target: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(RunError, match=r"out/keypoints/.*cannot be written: No space left on device: free some space"):
        tables.stage(shard_rows("a", [1]))

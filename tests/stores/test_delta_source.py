from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake

from landmark_ops.errors import InputError, RunError
from landmark_ops.shards.source import open_shards
from landmark_ops.stores import faults
from landmark_ops.stores.sources.delta_source import delta_source
from landmark_ops.stores.sources.source import open_rows

X = np.random.default_rng(0).normal(size=(50, 4)).astype(np.float32)
VECTORS = pa.array(X.tolist(), pa.list_(pa.float32()))


def test_reads_the_active_files_of_one_version(tmp_path: Path) -> None:
    uri = str(tmp_path / "the table")  # a space: delta-rs percent-encodes paths
    table = pa.table({"vec": VECTORS, "part": ["a b", "c"] * 25})
    write_deltalake(uri, table, mode="append", partition_by=["part"])
    rows = open_rows(uri, column="vec")
    before = rows.fingerprint()
    expected = DeltaTable(uri).to_pyarrow_table()["vec"].to_pylist()
    np.testing.assert_array_equal(rows.read(0, 50), expected)
    write_deltalake(uri, table.slice(0, 10), mode="overwrite")
    np.testing.assert_array_equal(rows.read(0, 50), expected)
    assert rows.fingerprint() == before
    newer = open_rows(uri)
    assert newer.n == 10
    assert newer.fingerprint() != before


def test_order_is_that_of_delta_rs_whatever_is_done_to_the_table(tmp_path: Path) -> None:
    uri = str(tmp_path / "t")
    names = ["x", "a%20b", "100%", "c/d", "e=f", None]  # which are percent-encoded once or twice
    for start in range(0, 60, 10):
        table = pa.table({"id": np.arange(start, start + 10), "k": [names[i % 6] for i in range(10)]})
        write_deltalake(uri, table, mode="append", partition_by=["k"])

    def check() -> None:
        ours = open_rows(uri, columns=["id"])
        np.testing.assert_array_equal(ours.read(0, ours.n)[:, 0], DeltaTable(uri).to_pyarrow_table()["id"])

    check()
    DeltaTable(uri).create_checkpoint()
    check()
    write_deltalake(uri, pa.table({"id": np.arange(60, 64), "k": ["x"] * 4}), mode="append")
    check()
    DeltaTable(uri).delete("id % 2 = 0 and k = 'x'")
    check()
    DeltaTable(uri).optimize.compact()
    check()
    assert DeltaTable(uri).to_pyarrow_table().num_rows == open_rows(uri, columns=["id"]).n


def test_order_is_part_of_the_fingerprint(tmp_path: Path) -> None:
    for start in (0, 10, 20):
        write_deltalake(tmp_path / "t", pa.table({"id": np.arange(start, start + 10)}), mode="append")
    rows = open_rows(tmp_path / "t", columns=["id"])
    found = {rows.fingerprint()}
    for files in (rows._files[::-1], sorted(rows._files)):
        rows._files = files
        found.add(rows.fingerprint())
    assert len(found) >= 2


def test_columns_that_older_files_lack_are_missing_values(tmp_path: Path) -> None:
    write_deltalake(tmp_path / "t", pa.table({"a": [1.0, 2.0]}))
    write_deltalake(tmp_path / "t", pa.table({"a": [3.0], "b": [7]}), mode="append", schema_mode="merge")
    rows = open_rows(tmp_path / "t", columns=["a", "b"])
    read = DeltaTable(tmp_path / "t").to_pyarrow_table().to_pandas()[["a", "b"]].to_numpy(np.float64)
    np.testing.assert_array_equal(rows.read(0, 3), read)
    assert np.isnan(read).sum() == 2


def test_partition_columns_are_refused_by_name(tmp_path: Path) -> None:
    write_deltalake(tmp_path / "t", pa.table({"a": [1.0, 2.0], "day": [1, 2]}), partition_by=["day"])
    with pytest.raises(InputError, match=r"'day' is a partition key, whose values are .* in the log"):
        open_rows(tmp_path / "t", columns=["a", "day"])


@pytest.fixture
def table(tmp_path: Path) -> Path:
    images = pa.array([b"x"] * 50, pa.binary())
    write_deltalake(tmp_path / "t", pa.table({"vec": VECTORS, "image": images}))
    return tmp_path / "t"


def rewrite(table: Path, change: Any) -> None:
    """Pass every action of the first commit through `change`."""
    log = table / "_delta_log/00000000000000000000.json"
    actions = [json.loads(line) for line in log.read_text().splitlines()]
    for action in actions:
        change(action)
    log.write_text("\n".join(json.dumps(action) for action in actions))


def refused(table: Path, message: str) -> None:
    """By both readers."""
    with pytest.raises(InputError, match=message):
        open_rows(table, column="vec")
    with pytest.raises(InputError, match=message):
        open_shards(str(table))


@pytest.mark.parametrize("feature", ["deletionVectors", "catalogManaged", "someFutureFeature"])
def test_features_that_change_the_meaning_of_files_are_refused(table: Path, feature: str) -> None:
    def change(action: dict[str, Any]) -> None:
        if "protocol" in action:
            action["protocol"] = {
                "minReaderVersion": 3,
                "minWriterVersion": 7,
                "readerFeatures": [feature],
                "writerFeatures": [feature],
            }

    rewrite(table, change)
    refused(table, rf"uses {feature}, which would need more than its files|cannot be opened \(.*(catalog|{feature})")


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("mode", ["name", "id"])
def test_mapped_columns_are_refused_however_they_are_switched_on(table: Path, version: int, mode: str) -> None:
    """A renamed column keeps its name in the files: under reader version 2 only a property says so."""

    def change(action: dict[str, Any]) -> None:
        if "protocol" in action:
            features = {"readerFeatures": ["columnMapping"], "writerFeatures": ["columnMapping"]}
            writer = {2: 5, 3: 7}[version]
            action["protocol"] = {
                "minReaderVersion": version,
                "minWriterVersion": writer,
                **(features if version == 3 else {}),
            }
        if "metaData" in action:
            action["metaData"]["configuration"] = {"delta.columnMapping.mode": mode}
            schema = json.loads(action["metaData"]["schemaString"])
            for at, field in enumerate(schema["fields"]):
                field["metadata"] = {
                    "delta.columnMapping.id": at + 1,
                    "delta.columnMapping.physicalName": field["name"],
                }
            action["metaData"]["schemaString"] = json.dumps(schema)

    rewrite(table, change)
    refused(table, rf"uses columnMapping \({mode}\)|cannot be opened \(.*[cC]olumn ?[mM]apping")


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("http://127.0.0.1:9/part.parquet", "http://"),
        ("https://user:secret@host/part.parquet?key=secret", "https://"),
        ("file:///etc/part.parquet", "file:///"),
        ("file:/etc/part.parquet", "file:/"),
        ("s3://other/part.parquet", "s3://"),
        ("../other/part.parquet", "../"),
        ("a/../../part.parquet", "../"),
        ("%2e%2e/part.parquet", "../"),
        ("/etc/part.parquet", "/"),
    ],
)
def test_parts_outside_the_table_are_refused(table: Path, path: str, shown: str) -> None:
    def change(action: dict[str, Any]) -> None:
        if "add" in action:
            action["add"]["path"] = path

    rewrite(table, change)
    refused(table, rf"its log names a part at {shown}\.\.\., parts must lie inside the table")


def test_tables_without_rows_and_damaged_logs(tmp_path: Path) -> None:
    write_deltalake(tmp_path / "t", pa.table({"a": [1.0, 2.0]}))
    DeltaTable(tmp_path / "t").delete()
    with pytest.raises(InputError, match="holds no files: it has 0 rows"):
        open_rows(tmp_path / "t")
    (tmp_path / "t/_delta_log/00000000000000000000.json").write_text("{")
    with pytest.raises(InputError, match="Delta table cannot be opened"):
        delta_source(str(tmp_path / "t"))


def test_storage_that_fails_is_no_mistake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tried again, and told in one line as of any source."""
    tries = []

    def fails(uri: str, **_: object) -> None:
        tries.append(uri)
        raise OSError("Generic S3 error: error sending request\n\nafter 10 retries")

    monkeypatch.setattr(faults, "FIRST_WAIT", 0)
    monkeypatch.setattr("deltalake.DeltaTable", fails)
    with pytest.raises(RunError, match=r"^[^\n]*/t: the Delta table cannot be opened: S3 cannot be reached[^\n]*$"):
        delta_source(str(tmp_path / "t"))
    assert len(tries) == faults.TRIES

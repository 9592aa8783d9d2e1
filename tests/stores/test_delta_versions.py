"""A version of a Delta table by its number: the rows that delta-rs gives of it, in its order, while they are there."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake

from landmark_ops.errors import InputError
from landmark_ops.shards.format import ShardOptions
from landmark_ops.shards.source import open_shards
from landmark_ops.stores.sources.source import open_rows, open_values

LOG = "_delta_log"


def append(table: Path, start: int, n: int = 10) -> None:
    ids = np.arange(start, start + n)
    data = pa.table({"id": ids, "k": ids % 3, "image": [b"x"] * n})
    write_deltalake(table, data, mode="append", partition_by=["k"])


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Versions 0 to 4."""
    for start in range(0, 50, 10):
        append(tmp_path / "t", start)
    return tmp_path / "t"


def forget(table: Path, before: int) -> None:
    """Clean the log, as engines do once a checkpoint is old enough."""
    for file in (table / LOG).glob("*.json"):
        if file.name[:20].isdigit() and int(file.name[:20]) < before:
            file.unlink()


def ids(table: Path, version: int | None = None) -> list[int]:
    rows = open_rows(table, columns=["id"], version=version)
    return [int(found) for found in rows.read(0, rows.n)[:, 0]]


def test_a_version_stays_what_it_is_whatever_is_done_to_the_table(table: Path) -> None:
    expected = DeltaTable(table).to_pyarrow_table()["id"].to_pylist()
    before = open_rows(table, columns=["id"])
    assert before.version == 4

    def check() -> None:
        assert ids(table, 4) == expected == DeltaTable(table, version=4).to_pyarrow_table()["id"].to_pylist()
        pinned = open_rows(table, columns=["id"], version=np.int64(4))  # type: ignore[arg-type]
        assert (pinned.version, pinned.fingerprint()) == (4, before.fingerprint())
        assert open_values(str(table), column="id", version=4).n == 50

    check()
    append(table, 50)
    check()
    DeltaTable(table).create_checkpoint()
    check()
    DeltaTable(table).delete("id % 2 = 0")
    check()
    DeltaTable(table).optimize.compact()
    check()
    assert open_rows(table, columns=["id"]).fingerprint() != before.fingerprint()
    DeltaTable(table, version=4).create_checkpoint()
    forget(table, 4)
    check()


def test_the_order_is_newest_commit_first(table: Path) -> None:
    """As the documentation says, with and without checkpoints."""
    commits = [file.read_text().splitlines() for file in sorted((table / LOG).glob("*.json"), reverse=True)]
    adds = [action["add"]["path"] for lines in commits for line in lines if "add" in (action := json.loads(line))]
    assert open_rows(table, columns=["id"]).places == [str(table / path) for path in adds]
    DeltaTable(table).create_checkpoint()
    forget(table, 4)
    assert open_rows(table, columns=["id"]).places == [str(table / path) for path in adds]


def test_versions_that_are_not_in_the_log(table: Path) -> None:
    def refused(version: int, oldest: int) -> None:
        message = (
            rf"t: version {version} of the Delta table is not in its log, whose oldest version is {oldest} and newest "
            r"4: set source\.version to one that is there, or leave it out for the newest"
        )
        with pytest.raises(InputError, match=message):
            open_rows(table, version=version)
        with pytest.raises(InputError, match=message):
            open_shards(str(table), options=ShardOptions(version=version))

    for version in (5, -1, 2**64):
        refused(version, 0)
    DeltaTable(table, version=1).create_checkpoint()
    DeltaTable(table, version=3).create_checkpoint()
    forget(table, 3)
    for version in (0, 2):
        refused(version, 1)
    assert len(ids(table, 1)) == 20
    assert len(ids(table, 3)) == 40


def test_versions_that_were_vacuumed(table: Path) -> None:
    DeltaTable(table).delete("k = 0")  # 5
    append(table, 50)  # 6
    DeltaTable(table).vacuum(retention_hours=0, enforce_retention_duration=False, dry_run=False)  # 7, 8
    newest = DeltaTable(table).version()
    message = (
        r"t: 1 of the 3 files of version 0 of the Delta table are gone, as VACUUM deletes those of old versions; found "
        rf"whole: versions 5 and {newest}, the newest: set source\.version to one that is whole, or restore the files"
    )
    with pytest.raises(InputError, match=message):
        open_rows(table, version=0)
    with pytest.raises(InputError, match=message):
        open_shards(str(table), options=ShardOptions(version=0))
    assert ids(table, 5) == DeltaTable(table, version=5).to_pyarrow_table()["id"].to_pylist()
    for file in table.glob("k=1/*.parquet"):
        file.unlink()
    with pytest.raises(InputError, match=rf"; the newest version, {newest}, is not whole either: restore the files"):
        open_rows(table, version=0)


def test_shards_of_a_version(table: Path) -> None:
    """Their ids are those of the files, whichever version names these."""
    first = open_shards(str(table), options=ShardOptions(version=1, column="image"))
    assert sum(shard.count for shard in first.shards) == 20
    now = open_shards(str(table), options=ShardOptions(column="image"))
    assert {(shard.id, shard.version) for shard in first.shards} < {(shard.id, shard.version) for shard in now.shards}

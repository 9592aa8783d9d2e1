"""Damage to the tables of a detection run: files, pages, counts and the log."""

from __future__ import annotations

from pathlib import Path

import pytest

from landmark_ops.errors import RunError
from landmark_ops.stores import faults
from landmark_ops.stores.tables import delta_tables
from landmark_ops.stores.tables.verified_tables import is_tables, verify_tables
from tests.stores.table_writers import open_tables, shard_rows
from tests.stores.test_tables import FORMATS, write


@pytest.fixture(params=FORMATS)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    form: str = request.param
    tables = open_tables(str(tmp_path / "out"), form)
    write(tables, shard_rows("a.tar", [2, 0, -1]), shard_rows("b.tar", [1, -1]))
    return tmp_path / "out"


def file_of(place: Path, table: str) -> Path:
    return sorted((place / table).rglob("*.parquet"))[0]


def test_whole(place: Path) -> None:
    assert is_tables(str(place))
    files, damages = verify_tables(str(place))
    assert files >= 7
    assert damages == []
    assert not is_tables(str(place / "keypoints"))
    assert not is_tables(str(place / "nothing"))


@pytest.mark.parametrize("table", ["keypoints", "images", "shards"])
@pytest.mark.parametrize("damage", ["deleted", "cut", "a bit"])
def test_a_file(place: Path, table: str, damage: str) -> None:
    file = file_of(place, table)
    content = bytearray(file.read_bytes())
    if damage == "deleted":
        file.unlink()
    elif damage == "cut":
        file.write_bytes(content[:-9])
    else:
        content[60] ^= 1  # in the first page
        file.write_bytes(content)
    _, damages = verify_tables(str(place))
    found = [one.key for one in damages]
    if damage == "deleted" and not (place / "keypoints/_delta_log").exists():  # nothing names it but the ledger's count
        assert found == ([] if table == "shards" else [table])
        return
    assert found == [f"{table}/{file.relative_to(place / table)}"]


def test_the_log(place: Path) -> None:
    log = place / "images/_delta_log/00000000000000000001.json"
    if not log.exists():
        pytest.skip("Parquet folders have no log")
    log.write_bytes(log.read_bytes()[:40])
    _, damages = verify_tables(str(place))
    assert [one.array for one in damages] == ["images"]


@pytest.mark.parametrize("form", ["delta"])
def test_storage_that_fails_is_no_damage(tmp_path: Path, form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    tables = open_tables(str(tmp_path / "out"), form)
    write(tables, shard_rows("a.tar", [2]))

    def fails(uri: str, **_: object) -> None:
        raise OSError("Generic S3 error: error sending request, after 10 retries")

    monkeypatch.setattr(faults, "FIRST_WAIT", 0)
    monkeypatch.setattr(delta_tables, "DeltaTable", fails)
    with pytest.raises(RunError, match="the Delta table cannot be opened: S3 cannot be reached"):
        verify_tables(str(tmp_path / "out"))

from __future__ import annotations

import json
import multiprocessing
import pickle
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable
from hypothesis import example, given, settings
from hypothesis import strategies as st

from landmark_ops.errors import RunError
from landmark_ops.stores import locations
from landmark_ops.stores.tables.files import STATISTICS
from landmark_ops.stores.tables.staged import Staged
from landmark_ops.stores.tables.tables import TableSet
from tests.stores.table_writers import GENERATION, count, count_down, open_tables, race, shard_rows, write_and_be_killed

FORMATS: list[str] = ["delta", "parquet"]


class Killed(BaseException):
    """Ends a test's run where a real one would be killed."""


def write(tables: TableSet, *rows: Any) -> list[str]:
    staged = [pickle.loads(pickle.dumps(one)) for row in rows if (one := tables.stage(row))]
    return tables.commit(staged)


def compact(tables: TableSet) -> None:
    """Merge small files, as who keeps a Delta table may at any time."""
    for name in (*tables.schemas, "shards"):
        DeltaTable(tables.table_uri(name)).optimize.compact()


def check_whole(tables: TableSet, shards: set[str], generation: str = GENERATION) -> None:
    """Exactly one row set per shard, by one run, the same in every table, and nothing left over."""
    counts = count(tables, generation)
    assert counts.balanced, counts
    assert set(tables.ledger(generation)) == shards
    assert tables.dataset("shards").count_rows() == len(shards)
    runs: dict[str, set[str]] = {}
    members: dict[str, list[str]] = {shard: [] for shard in shards}
    for name in tables.schemas:
        for row in tables.dataset(name).to_table(columns=["shard", "run_id", "member"]).to_pylist():
            runs.setdefault(row["shard"], set()).add(row["run_id"])
            if name == "images":
                members[row["shard"]].append(row["member"])
    assert all(len(found) == 1 for found in runs.values()), runs
    assert all(len(set(found)) == len(found) for found in members.values())
    instances = sum(row["instances"] or 0 for row in tables.dataset("images").to_table().to_pylist())
    assert instances == counts.instances
    left = locations.join(tables.uri, "_landmark_ops", "claims")
    assert not locations.is_folder(left) or locations.list_objects(left) == []


@pytest.mark.parametrize("form", FORMATS)
def test_rows_come_back_and_the_account_balances(tmp_path: Path, form: str) -> None:
    tables = open_tables(str(tmp_path / "out"), form)
    assert write(tables, shard_rows("a.tar", [2, 0, -1]), shard_rows("b.tar", [1, -1])) == ["a.tar", "b.tar"]
    counts = count(tables, GENERATION)
    assert counts == (5, 2, 1, 2, 3, 2)
    assert counts.balanced
    check_whole(tables, {"a.tar", "b.tar"})
    record = tables.ledger(GENERATION)["a.tar"]
    assert record[:3] == ("v1", 1, {"keypoints": 2, "failures": 1, "images": 3})
    row = tables.dataset("keypoints").to_table().to_pylist()[0]
    assert row["keypoints"][0] == {"x": 7.5, "y": 7.5, "z": 7.5, "score": None, "visible": None}
    assert row["config_hash"] == GENERATION


@pytest.mark.parametrize("form", FORMATS)
def test_a_rerun_does_nothing(tmp_path: Path, form: str) -> None:
    tables = open_tables(str(tmp_path / "out"), form)
    staged = tables.stage(shard_rows("a.tar", [1]))
    assert staged is not None
    tables.commit([staged, staged])
    before = {name: tables.dataset(name).to_table() for name in ("keypoints", "images", "shards")}
    again = open_tables(str(tmp_path / "out"), form)
    assert again.stage(shard_rows("a.tar", [5])) is None
    if form == "delta":
        again.commit([staged])
        assert again.recover() == []
    assert {name: again.dataset(name).to_table() for name in before} == before


@pytest.mark.parametrize("form", FORMATS)
def test_an_empty_shard_is_recorded_and_empty_tables_can_be_read(tmp_path: Path, form: str) -> None:
    tables = open_tables(str(tmp_path / "out"), form)
    assert tables.dataset("failures").count_rows() == 0
    write(tables, shard_rows("empty.tar", []))
    assert tables.ledger(GENERATION)["empty.tar"].rows == {"keypoints": 0, "failures": 0, "images": 0}
    assert tables.stage(shard_rows("empty.tar", [])) is None


@pytest.mark.parametrize("form", FORMATS)
def test_a_shard_that_grows_is_added_to_in_rounds(tmp_path: Path, form: str) -> None:
    tables = open_tables(str(tmp_path / "out"), form)
    write(tables, shard_rows("a", [1, 0]))
    assert tables.values("images", "member", GENERATION, "a") == {"0.jpg", "1.jpg"}
    write(tables, shard_rows("a", [3], round=2, version="v2", prefix="new-"))
    assert tables.ledger(GENERATION)["a"][:3] == ("v2", 2, {"keypoints": 4, "failures": 0, "images": 3})
    assert tables.stage(shard_rows("a", [1], round=1)) is None
    assert tables.values("images", "member", GENERATION) == {"0.jpg", "1.jpg", "new-0.jpg"}


@pytest.mark.parametrize("form", FORMATS)
def test_another_generation_lies_beside_the_old_one(tmp_path: Path, form: str) -> None:
    tables = open_tables(str(tmp_path / "out"), form)
    write(tables, shard_rows("a", [1]))
    write(tables, shard_rows("a", [2], generation="beef"), shard_rows("b", [1], generation="f00d"))
    assert [count(tables, generation).instances for generation in (GENERATION, "beef", "f00d")] == [1, 2, 1]
    assert {path.name for path in (tmp_path / "out" / "keypoints").glob("config_hash=*")} == {
        f"config_hash={generation}" for generation in (GENERATION, "beef", "f00d")
    }


def test_four_processes_commit_every_shard_once(tmp_path: Path) -> None:
    uri, shards = str(tmp_path / "out"), [f"{i}.tar" for i in range(6)]
    spawn = multiprocessing.get_context("spawn")
    barrier = spawn.Barrier(4)
    workers = [spawn.Process(target=race, args=(uri, shards, number, barrier)) for number in range(1, 5)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0] * 4
    check_whole(open_tables(uri), set(shards))


def rerun(tables: TableSet) -> None:
    """The next run: finish claimed shards, then do all that are not in the ledger, with other results."""
    tables.recover()
    done = tables.ledger(GENERATION)
    wanted = [shard_rows("a.tar", [0, -1, -1, 4], run="second"), shard_rows("b.tar", [2, 2], run="second")]
    write(tables, *(rows for rows in wanted if rows.shard not in done))
    check_whole(tables, {"a.tar", "b.tar"})


@pytest.mark.parametrize("form", FORMATS)
def test_a_run_cut_short_at_any_step_is_repaired_by_the_next(tmp_path: Path, form: str) -> None:
    points = 0
    for half_steps in range(100):
        tables = open_tables(str(tmp_path / f"out-{half_steps}"), form)

        def die() -> None:
            raise Killed

        with pytest.MonkeyPatch.context() as patch:
            count_down(patch.setattr, half_steps / 2, die)
            try:
                write(tables, shard_rows("a.tar", [2, 0, -1], run="first"), shard_rows("b.tar", [1], run="first"))
                break
            except Killed:
                points += 1
        rerun(open_tables(tables.uri, form))
    assert points >= 16, "not every step was reached"


@pytest.mark.parametrize(("form", "at"), [("delta", 7), ("delta", 8.5), ("delta", 9), ("parquet", 4)])
def test_a_killed_process_leaves_what_the_next_can_finish(tmp_path: Path, form: str, at: float) -> None:
    uri = str(tmp_path / "out")
    process = multiprocessing.get_context("spawn").Process(target=write_and_be_killed, args=(uri, form, at))
    process.start()
    process.join()
    assert process.exitcode == -9
    rerun(open_tables(uri, form))


def test_what_was_claimed_is_not_detected_again(tmp_path: Path) -> None:
    tables = open_tables(str(tmp_path / "out"))
    first = tables.stage(shard_rows("a.tar", [2], run="first"))
    second = tables.stage(shard_rows("a.tar", [9], run="second"))
    assert second == first
    files = list((tmp_path / "out" / "keypoints").rglob("*.parquet"))
    assert len(files) == 1  # the loser's are gone
    assert open_tables(tables.uri).recover() == ["a.tar"]
    check_whole(tables, {"a.tar"})


def test_a_lost_reply_is_recognised_as_success(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tables = open_tables(str(tmp_path / "out"))
    original, calls = DeltaTable.create_write_transaction, []

    def lose_reply(self: DeltaTable, *args: Any, **kwargs: Any) -> None:
        original(self, *args, **kwargs)
        calls.append(1)
        raise OSError("timed out waiting for the reply")

    monkeypatch.setattr(DeltaTable, "create_write_transaction", lose_reply)
    write(tables, shard_rows("a.tar", [2, 0, -1]), shard_rows("b.tar", [1]))
    assert len(calls) == 4  # one per table: none was tried again
    check_whole(tables, {"a.tar", "b.tar"})


def test_passing_failures_are_tried_again_and_lasting_ones_raise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tables = open_tables(str(tmp_path / "out"))
    original, calls = DeltaTable.create_write_transaction, []

    def fail_often(self: DeltaTable, *args: Any, **kwargs: Any) -> None:
        calls.append(1)
        if len(calls) % 3:
            raise OSError("503 SlowDown")
        original(self, *args, **kwargs)

    monkeypatch.setattr(DeltaTable, "create_write_transaction", fail_often)
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    write(tables, shard_rows("a.tar", [2, 0, -1]))
    check_whole(tables, {"a.tar"})

    def fail(*args: Any, **kwargs: Any) -> None:
        raise OSError("503 SlowDown")

    monkeypatch.setattr(DeltaTable, "create_write_transaction", fail)
    with pytest.raises(RunError, match=r"keypoints: cannot be committed to: S3 is too busy, .*run again to resume"):
        write(tables, shard_rows("b.tar", [1]))
    monkeypatch.setattr(DeltaTable, "create_write_transaction", original)
    assert tables.recover() == ["b.tar"]


def test_a_later_commit_of_the_same_transaction_adds_nothing(tmp_path: Path) -> None:
    """Delta itself would take it: app transactions only exclude each other when concurrent."""
    tables = open_tables(str(tmp_path / "out"))
    staged = tables.stage(shard_rows("a.tar", [2]))
    assert staged is not None
    tables.commit([staged])
    tables.commit([staged])
    tables.commit([staged])
    assert tables.dataset("keypoints").count_rows() == 2
    assert DeltaTable(tables.table_uri("keypoints")).version() == 1


def test_what_is_done_is_known_from_a_checkpoint_alone(tmp_path: Path) -> None:
    tables = open_tables(str(tmp_path / "out"))
    staged = tables.stage(shard_rows("a.tar", [2]))
    assert staged is not None
    tables.commit([staged])
    compact(tables)
    for name in (*tables.schemas, "shards"):
        DeltaTable(tables.table_uri(name)).create_checkpoint()
        for path in (tmp_path / "out" / name / "_delta_log").glob("*.json"):
            path.unlink()
    assert tables.stage(shard_rows("a.tar", [2])) is None
    tables.commit([staged])
    assert tables.dataset("keypoints").count_rows() == 2


def test_damaged_claims_are_dropped(tmp_path: Path) -> None:
    tables = open_tables(str(tmp_path / "out"))
    staged = tables.stage(shard_rows("a.tar", [2]))
    assert isinstance(staged, Staged)
    (tmp_path / "out" / "keypoints" / staged.files["keypoints"].path).write_bytes(b"cut")
    folder = tmp_path / "out" / "_landmark_ops" / "claims" / GENERATION
    (folder / "garbage.json").write_bytes(b'{"shard": "b.t')
    (folder / ".x.json.0.partial").write_bytes(b"")
    assert tables.recover() == []
    assert list(folder.iterdir()) == []
    write(tables, shard_rows("a.tar", [3]))
    check_whole(tables, {"a.tar"})


def test_neither_coordinates_nor_names_of_images_reach_the_log(tmp_path: Path) -> None:
    tables = open_tables(str(tmp_path / "out"))
    write(tables, shard_rows("a.tar", [2], coordinate=1234.5, prefix="jane-doe-"))
    write(tables, shard_rows("b.tar", [2], coordinate=1234.5, prefix="jane-doe-"))
    compact(tables)
    for name in ("keypoints", "images", "failures"):
        table = DeltaTable(tables.table_uri(name))
        table.create_checkpoint()
        written = json.dumps(pa.table(table.get_add_actions(flatten=True)).to_pylist(), default=str)
        log = b"".join(path.read_bytes() for path in (tmp_path / "out" / name / "_delta_log").iterdir())
        for canary in ("1234.5", "jane-doe"):
            assert canary not in written
            assert canary.encode() not in log
    assert DeltaTable(tables.table_uri("keypoints")).get_add_actions().num_rows == 1
    check_whole(tables, {"a.tar", "b.tar"})


@settings(max_examples=12, deadline=None)
@example(["\U00020000", ""])
@given(names=st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=20), unique=True, max_size=3))
def test_any_shard_name_is_kept(tmp_path_factory: pytest.TempPathFactory, names: list[str]) -> None:
    tables = open_tables(str(tmp_path_factory.mktemp("t")))
    for _ in range(2):
        write(tables, *(shard_rows(name, [1, 0]) for name in names))
    assert set(tables.ledger(GENERATION)) == set(names)
    assert sorted(tables.dataset("keypoints").to_table().column("shard").to_pylist()) == sorted(names)
    for name in names:
        assert tables.values("images", "member", GENERATION, name) == {"0.jpg", "1.jpg"}


def test_runs_agree_on_what_the_first_said(tmp_path: Path) -> None:
    tables = open_tables(str(tmp_path / "out"))
    with ThreadPoolExecutor(8) as pool:
        agreed = list(pool.map(lambda i: tables.agree("source", {"buckets": i}), range(8)))
    assert len({json.dumps(value) for value in agreed}) == 1
    assert open_tables(tables.uri).agree("source", {"buckets": 99}) == agreed[0]
    assert [path.name for path in (tmp_path / "out" / "_landmark_ops").iterdir()] == ["source.json"]


def test_files_hold_whole_pages_with_checksums_and_no_generation(tmp_path: Path) -> None:
    tables = open_tables(str(tmp_path / "out"))
    write(tables, shard_rows("a", [2]))
    (path,) = (tmp_path / "out" / "keypoints").rglob("*.parquet")
    assert "config_hash" not in pq.read_schema(path).names
    assert path.parent.name == f"config_hash={GENERATION}"


@pytest.mark.s3
@pytest.mark.parametrize("form", FORMATS)
def test_tables_on_s3(s3_bucket: str, form: str) -> None:
    tables = open_tables(f"{s3_bucket}/lake/faces", form)
    write(tables, shard_rows("a.tar", [2, 0, -1]), shard_rows("b.tar", [1]))
    assert tables.stage(shard_rows("a.tar", [1])) is None
    again = open_tables(f"{s3_bucket}/lake/faces", form)
    check_whole(again, {"a.tar", "b.tar"})
    assert again.agree("source", {"a": 1}) == again.agree("source", {"a": 2}) == {"a": 1}
    if form == "delta":
        assert again.stage(shard_rows("c.tar", [1])) is not None
        assert again.recover() == ["c.tar"]
        check_whole(again, {"a.tar", "b.tar", "c.tar"})


def test_the_statistics_are_bounds_of_whole_columns() -> None:
    assert set(STATISTICS).isdisjoint({"image_id", "member", "image_sha256", "box", "keypoints"})

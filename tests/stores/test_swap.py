"""A successor is built beside the output and swapped in by one write: readers see the old one or the new one, whole."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray
import zarr
from botocore.exceptions import ClientError

from landmark_ops.errors import LandmarkOpsError, RunError
from landmark_ops.stores import locations, swaps
from landmark_ops.stores.embeddings.records import ChunkRecords
from landmark_ops.stores.embeddings.unfinished import can_resume
from landmark_ops.stores.embeddings.zarr import documents
from landmark_ops.stores.embeddings.zarr.store import ZarrStore
from landmark_ops.stores.fence import Fence
from landmark_ops.stores.locations import exists, list_objects, read_bytes, write_bytes
from landmark_ops.stores.lock import OutputLock
from landmark_ops.stores.slots import free_slot, slot_of, split_key
from landmark_ops.stores.sources.source import open_rows
from landmark_ops.stores.zarr_store import open_store

N, STEP = 10, 4


class Killed(BaseException):
    """The end of a process, as far as its storage is concerned."""


def build(store: ZarrStore, value: float, k: int = 3, labels: bool = False) -> None:
    """Everything a run writes, one step after another, of an embedding that is `value` throughout."""
    store.create({"method": f"of {value}"})
    sha256 = store.put_map({"readout": np.full((2, k), value)}, {"value": value})
    store.put("landmarks", {"points": np.full((2, 5), value)}, {"points": ("landmark", "feature")})
    store.allocate(N, k, STEP, {"labels": "int32"} if labels else None)
    store.update(map_sha256=sha256)
    records = ChunkRecords(store, N, k, STEP)
    for start in range(0, N, STEP):
        rows = min(STEP, N - start)
        more = {"labels": np.full(rows, value, np.int32)} if labels else {}
        records.set(
            start,
            store.write(
                start,
                *np.broadcast_arrays(np.full((rows, k), value, np.float32)),
                np.full(rows, value, np.float32),
                more,
            ),
        )
        records.flush()
    store.complete()


def values(uri: str, **options: Any) -> set[float]:
    """All numbers of the complete output that a plain reader finds at `uri`."""
    group: Any = zarr.open_group(open_store(uri), mode="r", **options)
    assert group.attrs["landmark_ops"]["status"] == "complete"
    names = ["embedding", "residual", "map/readout", "landmarks/points", *(["labels"] if "labels" in group else [])]
    found = {float(value) for name in names for value in np.unique(group[name][...])}
    assert group["chunks/committed"][...].all()
    assert group.attrs["landmark_ops"]["method"] == f"of {next(iter(found)):.0f}"
    return found


@pytest.fixture(params=["local", "memory", pytest.param("s3", marks=pytest.mark.s3)])
def uri(request, tmp_path):
    if request.param == "local":
        return str(tmp_path / "out.zarr")
    if request.param == "memory":
        return f"memory://{np.random.default_rng().integers(1 << 60)}/out.zarr"
    return f"{request.getfixturevalue('s3_bucket')}/lake/out.zarr"


def test_many_generations(uri):
    """Each keeps the one before, for readers that have it open, and no earlier one."""
    build(ZarrStore(uri), 1)
    opened: Any = zarr.open_group(open_store(uri), mode="r")
    for generation in range(2, 6):
        successor = ZarrStore(uri).successor
        build(successor, generation, k=generation, labels=generation % 2 == 0)
        assert values(uri) == values(uri, use_consolidated=False) == {generation}
        assert ZarrStore(uri).shape == (N, generation)
        assert set(np.unique(opened["embedding"][...])) == {generation - 1}
        assert not exists(successor.address)
        places = {split_key(found.key) for found in list_objects(uri)}
        assert len(places) > 5
        for array in {array for array, slot in places if slot is not None}:
            assert len({slot for name, slot in places if name == array and slot is not None}) <= 2, array
        opened = zarr.open_group(open_store(uri), mode="r")


def test_xarray_reads_a_successor(tmp_path):
    uri = str(tmp_path / "out.zarr")
    build(ZarrStore(uri), 1)
    before = xarray.open_zarr(uri)
    build(ZarrStore(uri).successor, 2)
    assert xarray.open_zarr(uri)["embedding"].dims == ("row", "component")
    assert float(xarray.open_zarr(uri)["embedding"].min()) == 2
    assert float(before["embedding"].max()) == 1


@contextmanager
def killed_at(count: int) -> Iterator[list[int]]:
    """Let `count` operations on storage happen, then none any more."""
    left = [count]

    def guarded(function: Any) -> Any:
        def call(*arguments: Any, **options: Any) -> Any:
            left[0] -= 1
            if left[0] < 0:
                raise Killed
            return function(*arguments, **options)

        return call

    with pytest.MonkeyPatch.context() as patch:
        for name in ("replace", "unlink"):
            patch.setattr(locations.os, name, guarded(getattr(locations.os, name)))
        patch.setattr(Path, "unlink", guarded(Path.unlink))
        patch.setattr("zarr.storage._local._put", guarded(zarr.storage._local._put))
        yield left


def test_killed_at_any_operation_the_old_one_is_whole(tmp_path):
    """And the next run goes on from there: the old one until the swap, the new one from then on."""
    seen = set()
    build(ZarrStore(str(tmp_path / "old.zarr")), 1, k=2, labels=True)
    for count in range(1000):
        uri = str(tmp_path / f"{count}.zarr")
        shutil.copytree(tmp_path / "old.zarr", uri)
        try:
            with killed_at(count):
                build(ZarrStore(uri).successor, 2)
        except Killed:
            pass
        else:
            break
        found = values(uri)
        assert found in ({1}, {2})
        seen |= found
        ZarrStore(uri).settle()
        assert values(uri) == values(uri, use_consolidated=False) == found
        if count % 8 == 0:
            build(ZarrStore(uri).successor, 3)
            assert values(uri) == values(uri, use_consolidated=False) == {3}
    assert seen == {1, 2}
    assert count > 30


def test_outputs_of_the_version_before(tmp_path):
    """No document, no slot, no chunks of fill values: they are read, and replaced as any other."""
    uri = str(tmp_path / "out.zarr")
    group = zarr.create_group(uri, attributes={"landmark_ops": {"method": "of 1", "status": "complete"}})
    for name, shape in {
        "embedding": (N, 3),
        "residual": (N,),
        "map/readout": (2, 3),
        "landmarks/points": (2, 5),
    }.items():
        group.create_array(name, shape=shape, chunks=(STEP, *shape[1:]), dtype="float32", fill_value=np.nan)[...] = 1
    group["residual"][4:8] = np.nan  # its chunk is not stored
    group.create_array("chunks/committed", data=np.ones(3, np.uint8))
    opened: Any = group["residual"]
    old = ZarrStore(uri)
    assert old.shape == (N, 3)
    assert np.isnan(old.read(0, N)[1]).sum() == 4
    assert old.document().slot == 0
    build(old.successor, 2)
    assert values(uri) == values(uri, use_consolidated=False) == {2}
    assert np.isnan(opened[...]).sum() == 4


def test_slots():
    assert [free_slot(None, set()), free_slot(0, {0}), free_slot(1, {1}), free_slot(2, {2})] == [0, 1, 2, 0]
    assert [free_slot(0, {0, 1}), free_slot(2, {2, 0}), free_slot(1, {1, 0})] == [2, 1, 2]
    for slot in range(3):
        assert slot_of(documents.array_node(slot, (4, 2), "float32", (2, 2))) == slot
    assert split_key("embedding/zarr.json") == ("embedding", None)
    assert split_key("notes.txt")[1] is None


# --- one writer


def test_a_run_that_lost_its_lock_writes_nothing(uri):
    build(ZarrStore(uri), 1)
    with OutputLock(uri) as lock:
        late = ZarrStore(uri).successor.fenced(lock.fence)
        late.create({})
        late.allocate(N, 3, STEP)
        records = ChunkRecords(late, N, 3, STEP)
        late.write(0, np.ones((4, 3), np.float32), np.ones(4, np.float32))
        kept = read_bytes(f"{uri}.lock")
        write_bytes(f"{uri}.lock", json.dumps({"id": "other", "host": "there", "pid": 7}).encode())
        before = {found.key: found.version for found in list_objects(uri)}
        for act in (
            records.flush,
            late.complete,
            late.discard,
            lambda: late.update(a=1),
            lambda: late.put("map", {}, {}),
        ):
            with pytest.raises(
                RunError, match="this run has lost its lock, process 7 on there has it now: nothing more"
            ):
                act()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("landmark_ops.stores.embeddings.zarr.store.CHECK_SECONDS", 0.0)  # else asked every 5 s
            with pytest.raises(RunError, match="has lost its lock"):
                late.write(4, np.ones((4, 3), np.float32), np.ones(4, np.float32))
        assert {found.key: found.version for found in list_objects(uri)} == before
        write_bytes(f"{uri}.lock", kept)
    assert values(uri) == {1}


def test_a_lock_that_is_gone_is_nobodys(tmp_path):
    with pytest.raises(RunError, match="has lost its lock, nobody holds it now"):
        Fence("out.zarr", str(tmp_path / "out.zarr.lock"), "me").check()


def test_a_lock_that_cannot_be_read_is_not_lost(tmp_path, monkeypatch):
    """Unknown is neither: asked again, then said so."""
    fence = Fence("out.zarr", str(tmp_path / "out.zarr.lock"), "me")
    answers: list[Any] = [OSError("SlowDown"), ConnectionError("reset"), b'{"id": "me"}']

    def answer(uri: str) -> bytes:
        found = answers.pop(0) if answers else OSError("SlowDown")
        if isinstance(found, Exception):
            raise found
        return found

    monkeypatch.setattr("landmark_ops.stores.fence.read_bytes", answer)
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    fence.check()
    with pytest.raises(RunError, match=r"its lock .*out\.zarr\.lock cannot be read \(SlowDown\), so nobody knows"):
        fence.check()
    fence.check(max_age=60)  # it was seen a moment ago


def test_two_successors_one_swap(uri):
    """A run stopped between its last look at the output and the swap: another has put a new one there meanwhile."""
    build(ZarrStore(uri), 1)
    original = swaps.replace

    def late(address: str, data: bytes, seen: Any) -> bool:
        if address == f"{uri}/zarr.json":
            monkeypatch.undo()
            other = json.loads(read_bytes(address))
            other["attributes"]["landmark_ops"]["method"] = "of another"
            write_bytes(address, json.dumps(other).encode())
        return original(address, data, seen)

    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(swaps, "replace", late)
        with pytest.raises(RunError, match=r"another run has written .*zarr\.json meanwhile, this one changed nothing"):
            build(ZarrStore(uri).successor, 2)
    assert ZarrStore(uri).read_attributes()["method"] == "of another"
    assert np.unique(zarr.open_group(open_store(uri), mode="r")["embedding"][...]).tolist() == [1]


def test_a_reply_that_was_lost(uri, monkeypatch):
    """The server did the write, but the reply was lost: reading back shows that it was ours."""
    write_bytes(uri, b"old")
    seen = swaps.see(uri)
    if uri.startswith("s3://"):
        fs, _ = locations.filesystem(uri)
        original = fs.pipe_file

        def lost(*arguments: Any, **options: Any) -> None:
            original(*arguments, **options)
            raise ConnectionError("reset by peer")

        monkeypatch.setattr(fs, "pipe_file", lost)
        monkeypatch.setattr(swaps, "filesystem", lambda uri: (fs, uri.removeprefix("s3://")))
    assert swaps.replace(uri, b"new", seen)
    monkeypatch.undo()
    assert read_bytes(uri) == b"new"
    assert not swaps.replace(uri, b"newer", seen)
    assert not swaps.replace(uri, b"newer", None)
    assert read_bytes(uri) == b"new"


@pytest.mark.s3
@pytest.mark.parametrize("knows", ["bare digits", "nothing"])
def test_a_server_that_takes_the_same_for_another(s3_bucket, monkeypatch, knows):
    """RGW 16 compares an ETag with its quotes to its own without, and answers 412."""
    uri = f"{s3_bucket}/object"
    write_bytes(uri, b"old")
    seen = swaps.see(uri)
    fs, path = locations.filesystem(uri)
    original = fs.pipe_file

    def strange(path: str, data: bytes, IfMatch: str) -> None:
        if knows == "nothing" or IfMatch.startswith('"'):
            raise OSError(22, "None") from ClientError({"Error": {"Code": "PreconditionFailed"}}, "PutObject")
        original(path, data, IfMatch=f'"{IfMatch}"')

    monkeypatch.setattr(fs, "pipe_file", strange)
    monkeypatch.setattr(swaps, "filesystem", lambda uri: (fs, path))
    if knows == "nothing":
        with pytest.raises(RunError, match=r"/object: cannot be written: the server says that it has changed, which"):
            swaps.replace(uri, b"new", seen)
        assert read_bytes(uri) == b"old"
    else:
        assert swaps.replace(uri, b"new", seen)
        assert not swaps.replace(uri, b"late", seen)
        assert read_bytes(uri) == b"new"


def test_an_output_as_the_source_of_another_run(tmp_path):
    """A successor in the making is no change of it, the swap is; keys of every slot are read, and missed."""
    uri = str(tmp_path / "out.zarr")
    for generation in range(1, 4):
        build(ZarrStore(uri).successor if generation > 1 else ZarrStore(uri), generation)
        before = open_rows(uri, array="embedding").fingerprint()
        successor = ZarrStore(uri).successor
        successor.create({})
        successor.allocate(N, 2, STEP)
        successor.write(0, np.ones((STEP, 2), np.float32), np.ones(STEP, np.float32))
        rows = open_rows(uri, array="embedding")
        assert rows.fingerprint() == before
        assert np.unique(rows.read(0, N)).tolist() == [generation]
    assert rows.fingerprint() == before
    build(successor, 5)
    assert open_rows(uri, array="embedding").fingerprint() != before
    array: Any = ZarrStore(uri).group["embedding"]
    Path(uri, "embedding", array.metadata.encode_chunk_key((1, 0))).unlink()
    with pytest.raises(LandmarkOpsError, match="missing"):
        open_rows(uri, array="embedding", missing_chunks="error").read(0, N)


def test_a_successor_in_the_slot_of_what_readers_see_is_not_gone_on_with(uri):
    """The output it stood beside was exchanged for another one, as from a backup."""
    build(ZarrStore(uri), 1)
    successor = ZarrStore(uri).successor
    successor.create({})
    successor.put("landmarks", {}, {})
    successor.update(map_sha256=successor.put_map({"readout": np.ones((2, 3))}, {}))
    assert can_resume(successor)
    other = json.loads(read_bytes(f"{uri}/zarr.json"))
    other["attributes"]["landmark_ops"]["slot"] = successor.document().slot
    write_bytes(f"{uri}/zarr.json", json.dumps(other).encode())
    assert not can_resume(successor)

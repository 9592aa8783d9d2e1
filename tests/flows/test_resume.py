"""Interrupted at any moment, a run goes on from what is committed, checks it, and ends as if nothing had happened."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import yaml
import zarr

from flows.base.progress import Progress
from landmark_ops.configs.embed import EmbedConfig
from landmark_ops.errors import InputError, RunError
from landmark_ops.passes.stored_map import load_map
from landmark_ops.row_range import RowRange
from landmark_ops.stores.embeddings.zarr.store import ZarrStore
from landmark_ops.stores.locations import exists
from landmark_ops.stores.lock import OutputLock
from tests.flows.running import (
    arrays,
    attributes,
    command,
    environment,
    landmark_indices,
    make_config,
    points,
    run_embed,
    write_npy,
)

pytestmark = pytest.mark.usefixtures("bare_report", "many_tasks")

X = points()
STEP = 42  # rows of a task of 1 KiB
CHUNKS = 10


@contextmanager
def watching(act: Callable[[str, int], None] = lambda stage, count: None) -> Iterator[dict[str, list[RowRange]]]:
    """The ranges done by each stage; `act(stage, count)` is called after every one and may end the run."""
    seen: dict[str, list[RowRange]] = {}
    running = [""]

    def opened(self: Progress, name: str) -> None:
        running[0] = name
        seen[name] = []

    def rows_done(self: Progress, item: RowRange) -> None:
        seen[running[0]].append(item)
        act(running[0], len(seen[running[0]]))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Progress, "_open", opened)
        patch.setattr(Progress, "rows_done", rows_done)
        yield seen


def interrupt(config: dict[str, Any], stage: str = "extend", count: int = 4, error: Any = KeyboardInterrupt) -> None:
    """Run until `count` ranges of `stage` are done, then raise `error`."""

    def act(name: str, done: int) -> None:
        if (name, done) == (stage, count):
            raise error

    with pytest.raises(error), watching(act):
        run_embed(config)


def committed(uri: Path | str) -> int:
    """Chunks of the output, or of its successor, on record, as another process sees them: 0 while there is no table."""
    store = ZarrStore(str(uri))
    try:
        group: Any = (store.successor if exists(store.successor.address) else store).group
        return int(group["chunks/committed"][...].sum())
    except (OSError, KeyError, ValueError, RunError):
        return 0


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output of a run that nothing disturbed."""
    folder = tmp_path_factory.mktemp("reference")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("flows.embed.report.write_report", lambda report, write: None)
        patch.setattr("landmark_ops.passes.ranges.TASK_BYTES", 1 << 10)
        run_embed(make_config(write_npy(folder / "x.npy", X), folder / "out.zarr"))
    return folder / "out.zarr"


@pytest.fixture
def config(tmp_path: Path) -> dict[str, Any]:
    return make_config(write_npy(tmp_path / "x.npy", X), tmp_path / "out.zarr")


def equal(uri: Path | str, reference: Path) -> None:
    """Complete, and bit for bit the undisturbed output; quality too, though part of its sample was placed earlier."""
    known, expected = attributes(uri), attributes(reference)
    assert known["status"] == "complete"
    for ours, theirs in zip(arrays(uri), arrays(reference), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    np.testing.assert_array_equal(landmark_indices(uri), landmark_indices(reference))
    assert known["quality"] == expected["quality"]
    assert known["map_sha256"] == expected["map_sha256"]
    assert committed(uri) == CHUNKS


@pytest.mark.parametrize("count", [1, 4, CHUNKS])
def test_only_missing_chunks_are_computed(config: dict[str, Any], reference: Path, count: int) -> None:
    interrupt(config, count=count)
    uri = config["output"]["uri"]
    assert attributes(uri)["status"] == "partial"
    kept = committed(uri)
    assert kept == count - 1  # the last one was written, and not yet on record
    with watching() as seen:
        assert run_embed(config)["outcome"] == "resumed"
    assert len(seen["verify"]) == kept
    assert len(seen["extend"]) == CHUNKS - kept
    assert "select" not in seen
    assert sorted(seen["verify"] + seen["extend"]) == [(i * STEP, min((i + 1) * STEP, 400)) for i in range(CHUNKS)]
    equal(uri, reference)
    assert run_embed(config)["outcome"] == "already complete"


def test_interrupted_twice(config: dict[str, Any], reference: Path) -> None:
    interrupt(config, count=3)
    interrupt(config, count=3)
    interrupt(config, stage="report", count=1)
    with watching() as seen:
        run_embed(config)
    assert seen["extend"] == []
    equal(config["output"]["uri"], reference)


@pytest.mark.parametrize("damage", ["overwritten", "flipped", "cut", "deleted", "residual"])
def test_a_tampered_chunk_is_computed_again(config: dict[str, Any], reference: Path, damage: str) -> None:
    interrupt(config, count=6)
    uri = Path(config["output"]["uri"])
    group: Any = zarr.open_group(uri, mode="r+")
    first = int(np.flatnonzero(group["chunks/committed"][...])[0])
    file = uri / f"embedding/c/{first}/0"
    if damage == "overwritten":  # a valid chunk with other content
        group["embedding"][first * STEP] = 7
    elif damage == "residual":
        group["residual"][first * STEP] = 7
    elif damage == "flipped":
        content = bytearray(file.read_bytes())
        content[10] ^= 1
        file.write_bytes(content)
    elif damage == "cut":
        file.write_bytes(file.read_bytes()[:17])
    else:
        file.unlink()
    with watching() as seen:
        run_embed(config)
    assert (first * STEP, first * STEP + STEP) in seen["extend"]
    assert len(seen["extend"]) == CHUNKS - 5 + 1
    equal(uri, reference)


def test_a_table_cut_off_in_writing(config: dict[str, Any], reference: Path) -> None:
    """A crash between its columns: extents and counts of committed chunks come from the chunks themselves."""
    interrupt(config, count=6)
    group: Any = zarr.open_group(config["output"]["uri"], mode="r+")
    group["chunks/bad_rows"][...] = 17
    group["chunks/low"][...] = 0
    run_embed(config)
    equal(config["output"]["uri"], reference)
    assert attributes(config["output"]["uri"])["bad_rows"] == 0
    table: Any = zarr.open_group(config["output"]["uri"], mode="r")["chunks"]
    np.testing.assert_array_equal(table["low"][...].min(axis=0), arrays(reference)[0].min(axis=0))


def test_a_lost_table(config: dict[str, Any], reference: Path) -> None:
    interrupt(config, count=6)
    shutil.rmtree(Path(config["output"]["uri"]) / "chunks/sha256")
    with watching() as seen:
        run_embed(config)
    assert len(seen["extend"]) == CHUNKS
    equal(config["output"]["uri"], reference)


def test_a_damaged_map_is_refused(config: dict[str, Any]) -> None:
    interrupt(config)
    group: Any = zarr.open_group(config["output"]["uri"], mode="r+")
    group["map/readout"][0, 0] += 1e-9
    load_map.cache_clear()  # as in the new process that a resumed run is
    with pytest.raises(RunError, match=r"the stored map has not the hash .* run again with output\.overwrite: true"):
        run_embed(config)
    config["output"]["overwrite"] = True
    assert run_embed(config)["outcome"] == "done"


def test_partial_output_of_another_config(config: dict[str, Any]) -> None:
    interrupt(config)
    changed = {**config, "method": {**config["method"], "n_components": 2}}
    with pytest.raises(InputError, match=r"unfinished embedding made with method\.n_components 3 instead of 2: set"):
        run_embed(changed)
    assert attributes(config["output"]["uri"])["status"] == "partial"


def test_partial_output_of_a_changed_source(config: dict[str, Any]) -> None:
    interrupt(config)
    write_npy(Path(config["source"]["uri"]), X + 1)
    with pytest.raises(InputError, match="unfinished embedding made with another source, or the source has changed"):
        run_embed(config)


def test_a_partial_output_has_no_map_to_open(config: dict[str, Any]) -> None:
    from landmark_ops import open_map

    interrupt(config)
    with pytest.raises(InputError, match="no complete embedding to take a map from: its status is partial"):
        open_map(config["output"]["uri"])


def test_interrupted_before_the_map_is_committed(config: dict[str, Any], reference: Path) -> None:
    interrupt(config, stage="select", count=1)
    assert attributes(config["output"]["uri"])["status"] == "partial"
    with watching() as seen:
        assert run_embed(config)["outcome"] == "done"
    assert len(seen["extend"]) == CHUNKS
    equal(config["output"]["uri"], reference)


def test_interrupted_while_the_map_is_committed(
    config: dict[str, Any], reference: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("landmark_ops.stores.embeddings.zarr.store.ZarrStore.allocate", fail)
        with pytest.raises(KeyboardInterrupt):
            run_embed(config)
    run_embed(config)
    equal(config["output"]["uri"], reference)


def test_interrupted_while_an_output_is_replaced(
    config: dict[str, Any], reference: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Right after the swap, its traces not yet removed: the new one is what is there, and is tidied up."""
    uri = config["output"]["uri"]
    run_embed({**config, "method": {"n_components": 2}})

    def fail(uri: str) -> None:
        raise KeyboardInterrupt

    config["output"]["overwrite"] = True
    with monkeypatch.context() as patch:
        patch.setattr("landmark_ops.stores.embeddings.zarr.store.remove", fail)
        with pytest.raises(KeyboardInterrupt):
            run_embed(config)
    equal(uri, reference)
    assert Path(f"{uri}.next").exists()
    config["output"]["overwrite"] = False
    assert run_embed(config)["outcome"] == "already complete"
    assert not Path(f"{uri}.next").exists()
    equal(uri, reference)


def test_source_modified_during_the_run(config: dict[str, Any]) -> None:
    def touch(stage: str, count: int) -> None:
        if (stage, count) == ("extend", 3):
            os.utime(config["source"]["uri"], ns=(0, 0))

    with watching(touch), pytest.raises(RunError, match=r"x\.npy: changed while it was read, .* stays incomplete"):
        run_embed(config)
    assert attributes(config["output"]["uri"])["status"] == "partial"


def test_source_rewritten_with_the_same_size_and_time(config: dict[str, Any]) -> None:
    """As `cp -p` and `rsync --times` leave it: neither size nor modification time tells."""
    path = config["source"]["uri"]

    def rewrite(stage: str, count: int) -> None:
        if (stage, count) == ("extend", 3):
            before = os.stat(path)
            with open(path, "r+b") as file:
                file.seek(-4, os.SEEK_END)
                file.write(b"\0\0\0\0")
            os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))

    with watching(rewrite), pytest.raises(RunError, match=r"x\.npy: changed while it was read, .* run again once"):
        run_embed(config)
    assert attributes(config["output"]["uri"])["status"] == "partial"


def test_links_to_the_source_are_no_change(config: dict[str, Any]) -> None:
    """A backup of hard links changes the inode's time, and nothing that is read."""
    path = config["source"]["uri"]

    def link(stage: str, count: int) -> None:
        if (stage, count) == ("extend", 3):
            os.link(path, f"{path}.backup")

    with watching(link):
        assert run_embed(config)["outcome"] == "done"


def test_output_removed_during_the_run(config: dict[str, Any]) -> None:
    def vanish(stage: str, count: int) -> None:
        if (stage, count) == ("extend", 3):
            os.rename(config["output"]["uri"], f"{config['output']['uri']}.moved")

    with watching(vanish), pytest.raises(RunError, match=r"out\.zarr: the output has gone while"):
        run_embed(config)


def test_a_full_disk(config: dict[str, Any], reference: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Writing fails in a worker, and then for the table of chunks too: the first reason is told, in one line."""
    from zarr.storage import LocalStore

    original = LocalStore.set

    async def full(self: Any, key: str, value: Any, *rest: Any) -> None:
        if "/c/5/" in f"/{key}/" or (key.startswith("chunks/") and state["full"]):
            state["full"] = True
            raise OSError(28, "No space left on device")
        await original(self, key, value, *rest)

    state = {"full": False}
    with monkeypatch.context() as patch:
        patch.setattr(LocalStore, "set", full)
        with pytest.raises(
            RunError, match=r"embedding/c/5/0: cannot be written: No space left on device: free some space"
        ):
            run_embed(config)
    assert attributes(config["output"]["uri"])["status"] == "partial"
    run_embed(config)
    equal(config["output"]["uri"], reference)


# --- one writer


def test_a_second_run_is_refused(config: dict[str, Any], reference: Path) -> None:
    uri = config["output"]["uri"]
    with (
        OutputLock(uri),
        pytest.raises(InputError, match=rf"output .*out\.zarr: process {os.getpid()} on .* is writing it now: wait"),
    ):
        run_embed(config)
    assert not Path(uri).exists()
    run_embed(config)
    assert not Path(f"{uri}.lock").exists()
    equal(uri, reference)


def test_a_lock_left_by_a_dead_process_does_not_hold(config: dict[str, Any], reference: Path) -> None:
    Path(f"{config['output']['uri']}.lock").write_text('{"id": "x", "host": "elsewhere", "pid": 1}')
    run_embed(config)
    equal(config["output"]["uri"], reference)


def test_a_run_that_finished_between_look_and_lock(config: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """A second run looked while the output was partial or absent, and got the lock once the first was done."""
    from flows.embed.inputs import OpenedRun, open_run

    early: list[OpenedRun] = []

    def stale(given: Any) -> OpenedRun:
        early.append(open_run(given))
        monkeypatch.setattr("flows.embed.flow.open_run", open_run)
        run_embed(config)
        return early[0]

    monkeypatch.setattr("flows.embed.flow.open_run", stale)
    with pytest.raises(InputError, match="another run has just worked on it: run again to go on from there"):
        run_embed(config)
    assert attributes(config["output"]["uri"])["status"] == "complete"


def test_a_source_that_changed_before_the_lock_was_had(config: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """What was opened for the check is what the flow takes: whether it is still the source is looked at again."""
    from flows.embed.inputs import OpenedRun, open_run

    def early(given: Any) -> OpenedRun:
        opened = open_run(given)
        path = Path(config["source"]["uri"])
        np.save(path, np.load(path)[::-1])
        os.utime(path, (0, 0))
        return opened

    monkeypatch.setattr("flows.embed.flow.open_run", early)
    with pytest.raises(RunError, match=r"x\.npy: changed while the run was starting: run again once"):
        run_embed(config)
    assert not exists(config["output"]["uri"])


def test_inputs_are_opened_once(config: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """By the command, which hands them to the flow; a flow called by itself opens them itself."""
    import flows.embed.inputs as inputs
    from flows.embed.launch import launch_embed

    counted: list[str] = []
    plain = inputs.open_source

    def count(given: Any) -> Any:
        counted.append(given.source.uri)
        return plain(given)

    monkeypatch.setattr(inputs, "open_source", count)
    assert launch_embed(EmbedConfig.model_validate(config), "quiet")["outcome"] == "done"
    assert counted == [config["source"]["uri"]]
    assert run_embed(config)["outcome"] == "already complete"
    assert len(counted) == 2


# --- the command, as a process

# A shell that runs the suite in the background ignores Ctrl-C, and so would every child of it.
SLOW = """
import signal, time
signal.signal(signal.SIGINT, signal.default_int_handler)
import flows.base.machine, landmark_ops.passes.ranges, landmark_ops.stores.embeddings.records
from flows.base.progress import Progress
flows.base.machine.IN_PROCESS_BYTES = {in_process}
landmark_ops.passes.ranges.TASK_BYTES = 1 << 10
landmark_ops.stores.embeddings.records.FLUSH_SECONDS = 0.1
plain = Progress.advance
Progress.advance = lambda self, count: (time.sleep({seconds}), plain(self, count))[1]
"""


@contextmanager
def slow_command(
    tmp_path: Path, config: dict[str, Any], in_process: int, seconds: float, **changes: str
) -> Iterator[subprocess.Popen[str]]:
    """`landmarks embed --quiet`, slowed down, once some chunks are on record; killed at the end if it still runs."""
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(config))
    setup = SLOW.format(in_process=in_process, seconds=seconds)
    process = subprocess.Popen(
        command("embed", path, "--quiet", setup=setup),
        env=environment(**changes),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        deadline = time.monotonic() + 120
        while committed(config["output"]["uri"]) < 2:
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.05)
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


@pytest.mark.slow
def test_killed_leaves_no_orphans_and_resumes(
    tmp_path: Path, config: dict[str, Any], reference: Path, prefect_home: Path
) -> None:
    """SIGKILL: nothing of ours runs any more soon after, neither workers nor the temporary Prefect server."""
    changes = {"PREFECT_HOME": str(prefect_home), "PREFECT_API_URL": "", "TMPDIR": str(tmp_path)}
    with slow_command(tmp_path, config, in_process=0, seconds=0.3, **changes) as process:
        family = psutil.Process(process.pid).children(recursive=True)
        lines = [" ".join(member.cmdline()) for member in family]
        assert any("flows.base.server" in line for line in lines)
        assert sum("spawn_main" in line for line in lines) == 2
        process.kill()
        process.wait()
        _, alive = psutil.wait_procs(family, timeout=15)
        assert [member.cmdline() for member in alive] == []
    assert not list(tmp_path.glob("landmark-ops-prefect-*")), "the database of the server is left behind"
    uri = config["output"]["uri"]
    assert attributes(uri)["status"] == "partial"
    assert 2 <= committed(uri) < CHUNKS
    with watching() as seen:
        assert run_embed(config)["outcome"] == "resumed"
    assert len(seen["extend"]) < CHUNKS
    equal(uri, reference)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "in_process"),
    [(signal.SIGINT, 0), (signal.SIGTERM, 1 << 20)],
    ids=["Ctrl-C over worker processes", "SIGTERM over threads"],
)
def test_interrupted_from_outside(
    tmp_path: Path, config: dict[str, Any], reference: Path, number: int, in_process: int
) -> None:
    """Ctrl-C reaches every process of the terminal's group. One line, exit code 130, and the next run goes on."""
    with slow_command(tmp_path, config, in_process=in_process, seconds=0.6) as process:
        if number == signal.SIGINT:
            os.killpg(process.pid, number)
        else:
            process.send_signal(number)
        out, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert out == ""
    assert err == "landmarks: interrupted: what is committed is kept, run the same command again to resume\n"
    assert not Path(f"{config['output']['uri']}.lock").exists()
    with watching() as seen:
        run_embed(config)
    assert len(seen["extend"]) < CHUNKS
    equal(config["output"]["uri"], reference)


@pytest.mark.slow
@pytest.mark.usefixtures("processes")
def test_a_killed_worker_is_replaced(config: dict[str, Any], reference: Path) -> None:
    killed: list[int] = []

    def kill(stage: str, count: int) -> None:
        if (stage, count) == ("extend", 3):
            workers = [
                child
                for child in psutil.Process().children(recursive=True)
                if "spawn_main" in " ".join(child.cmdline())
            ]
            workers[0].kill()
            killed.append(workers[0].pid)

    with watching(kill):
        run_embed(config)
    assert killed
    equal(config["output"]["uri"], reference)

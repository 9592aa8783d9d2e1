"""One writer per output, on disk and on object stores, however the last one ended."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from landmark_ops.errors import InputError
from landmark_ops.stores.locations import exists
from landmark_ops.stores.lock import OutputLock

HOLD = """
import sys, time
from landmark_ops.stores.lock import OutputLock
with OutputLock(sys.argv[1]):
    print("held", flush=True)
    sys.stdin.readline()
"""


@pytest.fixture
def uri(tmp_path):
    return str(tmp_path / "out.zarr")


@pytest.fixture
def remote(monkeypatch):
    monkeypatch.setattr("landmark_ops.stores.lease.REFRESH_SECONDS", 0.02)
    monkeypatch.setattr("landmark_ops.stores.lease.WATCH_SECONDS", 0.05)
    return f"memory://{np.random.default_rng().integers(1 << 60)}/out.zarr"


def hold(uri: str) -> subprocess.Popen[str]:
    """Another process that holds the lock until its stdin is written to or it is killed."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, uri], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "held\n"
    return process


def end(process: subprocess.Popen[str], kill: bool) -> None:
    if kill:
        process.send_signal(signal.SIGKILL)
    process.communicate("\n" if not kill else None, timeout=20)


@pytest.mark.parametrize("place", ["uri", "remote"])
def test_the_second_holder_is_refused(place, request):
    uri = request.getfixturevalue(place)
    me = rf"output {uri}: process {os.getpid()} on .* is writing it now: wait for that run, or choose another"
    with OutputLock(uri):
        with pytest.raises(InputError, match=me), OutputLock(uri):
            pytest.fail("two hold the lock")
        with OutputLock(f"{uri}.other"):  # another output is another lock
            pass
        with pytest.raises(InputError, match=me), OutputLock(uri):  # the refused one took nothing away
            pytest.fail("two hold the lock")
    with OutputLock(uri):
        pass


@pytest.mark.parametrize("place", ["uri", "remote"])
def test_nothing_is_left(place, request):
    uri = request.getfixturevalue(place)
    with OutputLock(uri):
        assert exists(f"{uri}.lock")
    assert not exists(f"{uri}.lock")
    with pytest.raises(ZeroDivisionError), OutputLock(uri):
        raise ZeroDivisionError
    assert not exists(f"{uri}.lock")
    assert "output-lock" not in [thread.name for thread in threading.enumerate()]


@pytest.mark.parametrize("kill", [True, False])
def test_another_process_holds_it_while_it_lives(uri, kill):
    process = hold(uri)
    try:
        with pytest.raises(InputError, match=f"process {process.pid} on .* is writing it now"), OutputLock(uri):
            pytest.fail("two hold the lock")
    finally:
        end(process, kill)
    with OutputLock(uri):
        assert json.loads(Path(f"{uri}.lock").read_text())["pid"] == os.getpid()
    assert not Path(f"{uri}.lock").exists()


def test_a_leftover_file_locks_nothing(uri):
    """What a power cut leaves: the file, with the name of a process that is no more."""
    Path(f"{uri}.lock").write_text('{"pid": 1, "host": "elsewhere", "id": "x"}')
    with OutputLock(uri):
        assert json.loads(Path(f"{uri}.lock").read_text())["pid"] == os.getpid()


def test_missing_folders_are_made(tmp_path):
    with OutputLock(str(tmp_path / "a" / "b" / "out.zarr")):
        assert (tmp_path / "a" / "b").is_dir()


def test_a_place_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(InputError, match=r"output .*file/out\.zarr: cannot be written: .*: choose another output\.uri"),
        OutputLock(str(tmp_path / "file" / "out.zarr")),
    ):
        pytest.fail("nothing can be written there")


def test_many_threads_one_holder(uri):
    """Taking and freeing in a tight race: the lock file is removed and made again all the time."""
    holders, most, taken = [0], [0], [0]
    deadline = time.monotonic() + 0.5

    def run():
        while time.monotonic() < deadline:
            try:
                with OutputLock(uri):
                    holders[0] += 1
                    most[0] = max(most[0], holders[0])
                    taken[0] += 1
                    time.sleep(0.0005)
                    holders[0] -= 1
            except InputError:
                continue

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1]
    assert taken[0] > 10


def test_one_lock_by_whatever_link(tmp_path):
    """Two runs with two locks would write into each other's chunks."""
    (tmp_path / "disk").mkdir()
    (tmp_path / "out.zarr").symlink_to(tmp_path / "disk" / "e.zarr")
    (tmp_path / "folder").symlink_to(tmp_path / "disk")
    for one, other in [("out.zarr", "disk/e.zarr"), ("disk/e.zarr", "out.zarr"), ("folder/e.zarr", "out.zarr")]:
        with OutputLock(str(tmp_path / one)) as lock:
            lock.fence.check()
            with pytest.raises(InputError, match=r"e\.zarr: process \d+ on .* is writing it now"):
                OutputLock(str(tmp_path / other)).__enter__()

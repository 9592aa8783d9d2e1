"""The child that decodes: same pictures, and what becomes of a file that kills, hangs or eats memory."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from landmark_ops.errors import RunError
from landmark_ops.images import isolated, reasons
from landmark_ops.images.decode import DecodeFailure, decode
from landmark_ops.images.isolated import IsolatedDecoder, decode_isolated, decode_safely
from tests.hostile import hostile_files, reference, save

#: A child whose decoder does what the first bytes of a file say.
POISON = """
import os, sys, time
sys.argv = ["child", "{memory}"]
from landmark_ops.images import child
from landmark_ops.images.decode import decode
def poisoned(data, **options):
    if data.startswith(b"abort"):
        os.abort()
    if data.startswith(b"segfault"):
        import ctypes
        ctypes.string_at(0)
    if data.startswith(b"exit"):
        os._exit(0)
    if data.startswith(b"hang"):
        time.sleep(60)
    if data.startswith(b"poison-next"):
        os.environ["POISONED"] = "1"
        data = data[len(b"poison-next"):]
    elif "POISONED" in os.environ:
        os.abort()
    if data.startswith(b"noise"):
        print("a print of native code", flush=True)
        data = data[len(b"noise"):]
    if data.startswith(b"eat"):
        import numpy
        try:
            numpy.ones(400 << 20, "u1")
        except MemoryError:
            raise child.DecodeFailure("too_large", "no memory") from None
    return decode(data, **options)
child.decode = poisoned
child.main()
"""

PICTURE = save(reference(), "JPEG", quality=95)


@pytest.fixture(scope="module")
def poisoned():
    with IsolatedDecoder(command=[sys.executable, "-c", POISON.format(memory=2 << 30)]) as decoder:
        yield decoder


@pytest.fixture(scope="module", autouse=True)
def shared_child():
    yield
    isolated.close_shared()


def failure_of(decoder: IsolatedDecoder, data: bytes, **options: float) -> DecodeFailure:
    with pytest.raises(DecodeFailure) as caught:
        decoder.decode(data, **options)
    return caught.value


def still_works(decoder: IsolatedDecoder) -> bool:
    return np.array_equal(decoder.decode(PICTURE).image, decode(PICTURE).image)


def test_the_child_answers_as_this_process_does():
    for name, (data, reason) in hostile_files().items():
        if reason is None:
            here, there = decode(data, min_side=20), decode_isolated(data, min_side=20)
            np.testing.assert_array_equal(there.image, here.image, err_msg=name)
            assert there[1:] == here[1:]
        else:
            with pytest.raises(DecodeFailure) as caught:
                decode_isolated(data)
            assert caught.value.reason == reason, name
    assert there.image.flags.writeable


@pytest.mark.parametrize(
    ("poison", "how"),
    [(b"abort", "ended by signal 6"), (b"segfault", "ended by signal 11"), (b"exit", "exited with 0")],
)
def test_a_file_that_kills_the_decoder_is_a_failure(poisoned, poison, how):
    assert still_works(poisoned)
    failure = failure_of(poisoned, poison)
    assert (failure.reason, failure.detail) == (reasons.DECODER_CRASHED, how)
    assert still_works(poisoned)


def test_a_file_that_hangs_the_decoder_is_a_failure(poisoned):
    assert still_works(poisoned)
    began = time.perf_counter()
    failure = failure_of(poisoned, b"hang", timeout_s=0.3)
    assert (failure.reason, failure.detail) == (reasons.TOO_SLOW, "not decoded in 0.3 s")
    assert time.perf_counter() - began < 2
    assert poisoned.pid is None
    assert still_works(poisoned)


def test_a_death_is_not_blamed_on_the_next_file(poisoned):
    poisoned.decode(b"poison-next" + PICTURE)
    assert still_works(poisoned)


def test_a_child_killed_from_outside_loses_no_file(poisoned):
    assert still_works(poisoned)
    os.kill(poisoned.pid, signal.SIGKILL)
    assert still_works(poisoned)


def test_prints_do_not_reach_the_pictures(poisoned):
    np.testing.assert_array_equal(poisoned.decode(b"noise" + PICTURE).image, decode(PICTURE).image)


@pytest.mark.skipif(sys.platform != "linux", reason="memory limits of a process are Linux's")
def test_the_child_may_not_eat_the_memory_of_the_machine():
    with IsolatedDecoder(command=[sys.executable, "-c", POISON.format(memory=256 << 20)]) as decoder:
        assert failure_of(decoder, b"eat").reason == reasons.TOO_LARGE
        assert still_works(decoder)


def test_a_picture_that_needs_more_memory_than_allowed_is_too_large():
    data = save(np.zeros((9000, 9000, 3), np.uint8), "PNG", compress_level=1)
    with IsolatedDecoder(memory_bytes=100 << 20) as decoder:
        assert failure_of(decoder, data).reason == reasons.TOO_LARGE
        assert still_works(decoder)


def test_threads_take_turns():
    found = []
    with IsolatedDecoder() as decoder:
        threads = [threading.Thread(target=lambda: found.append(still_works(decoder))) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert found == [True] * 8


def test_the_child_starts_when_needed_and_ends_with_its_owner():
    decoder = IsolatedDecoder()
    assert decoder.pid is None
    assert still_works(decoder)
    pid = decoder.pid
    os.kill(pid, 0)
    decoder.close()
    assert decoder.pid is None
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_no_child_outlives_a_killed_parent():
    code = (
        "import sys, time; from landmark_ops.images.isolated import *; from tests.hostile import *;"
        "d = IsolatedDecoder(); d.decode(save(reference(), 'JPEG')); print(d.pid, flush=True); time.sleep(60)"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    os.kill(pid, 0)
    parent.kill()
    parent.wait()
    parent.stdout.close()
    assert ends_within(pid, 5)


def ends_within(pid: int, seconds: float) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            os.kill(pid, 0)
            with open(f"/proc/{pid}/stat", encoding="ascii") as file:
                if file.read().rpartition(")")[2].split()[0] == "Z":
                    return True
        except (ProcessLookupError, FileNotFoundError):
            return True
        time.sleep(0.05)
    return False


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no interval timers on this system")
def test_a_hanging_child_ends_by_its_own_alarm():
    """A killed parent cannot kill it."""
    code = POISON.format(memory=2 << 30)
    child = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert child.stdout is not None
    assert child.stdin is not None
    assert child.stdout.read(1) == b"R"
    isolated.send(child, isolated.REQUEST.pack(4, 100, -1, 0.2), b"hang")
    assert child.wait(5) == -signal.SIGALRM
    child.stdin.close()
    child.stdout.close()


def test_a_child_that_cannot_start_is_no_fault_of_the_file():
    with (
        IsolatedDecoder(command=[sys.executable, "-c", "raise SystemExit(3)"]) as decoder,
        pytest.raises(RunError, match="the decoder process did not start within 60 s: exited with 3"),
    ):
        decoder.decode(PICTURE)


def test_the_policy_sends_only_what_it_says(monkeypatch):
    sent: list[bytes] = []
    monkeypatch.setattr(isolated, "decode_isolated", lambda data, **_: sent.append(data))
    files = hostile_files()
    common, rare = files["plain.jpg"][0], files["lzw.tiff"][0]
    for policy, expected in {"never": [], "risky": [rare], "always": [common, rare]}.items():
        sent.clear()
        for data in (common, rare):
            decode_safely(data, isolation=policy)
        assert sent == expected
    sent.clear()
    with pytest.raises(DecodeFailure):
        decode_safely(files["huge.tiff"][0], isolation="always")
    assert sent == []


def test_daemonic_processes_can_decode():
    """Dask's workers are daemonic, and may not have multiprocessing children."""
    code = """
import multiprocessing, sys
from landmark_ops.images.isolated import close_shared, decode_isolated
from tests.hostile import reference, save
def work():
    assert decode_isolated(save(reference(), "JPEG")).width == 64
    close_shared()
if __name__ == "__main__":
    process = multiprocessing.get_context("fork").Process(target=work, daemon=True)
    process.start()
    process.join()
    sys.exit(process.exitcode)
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert result.returncode == 0, result.stderr

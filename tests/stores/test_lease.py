"""A lease knows its owner, takes no error for "free", and goes by no clock but the server's."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from landmark_ops.errors import InputError, RunError
from landmark_ops.stores import lease as module
from landmark_ops.stores.lease import Lease, age_by_server
from landmark_ops.stores.locations import exists, read_bytes, write_bytes
from landmark_ops.stores.lock import OutputLock
from tests.faulty_proxy import FaultyProxy, once

OTHER = {"id": "x", "pid": 7, "host": "there"}
QUARTER = 15 * 60


@pytest.fixture
def remote() -> str:
    return f"memory://{np.random.default_rng().integers(1 << 60)}/out.zarr"


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LEASE_SECONDS", 0.5)
    monkeypatch.setattr(module, "REFRESH_SECONDS", 0.05)
    monkeypatch.setattr(module, "WATCH_SECONDS", 0.05)
    monkeypatch.setattr(module, "ROUNDING_SECONDS", 0.0)


@pytest.fixture
def proxy(s3_server: str, s3_bucket: str) -> Iterator[FaultyProxy]:
    proxy = FaultyProxy(s3_server)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", proxy.url)
        patch.setenv("AWS_MAX_ATTEMPTS", "1")
        yield proxy
    proxy.close()


def put(uri: str, until: float = 0.0, **changes: Any) -> bytes:
    content = json.dumps({**OTHER, "until": until, **changes}).encode()
    write_bytes(f"{uri}.lock", content)
    return content


def holder(uri: str) -> dict[str, Any]:
    return dict(json.loads(read_bytes(f"{uri}.lock")))


@pytest.mark.usefixtures("quick")
def test_a_dead_one_is_taken_over_once_it_was_watched(remote: str) -> None:
    """Also one of a clock that is ahead, and of nonsense."""
    for content in (json.dumps({**OTHER, "until": time.time() + QUARTER}).encode(), b"[\xff"):
        write_bytes(f"{remote}.lock", content)
        began = time.monotonic()
        with OutputLock(remote) as lock:
            assert time.monotonic() - began > 0.5
            assert holder(remote)["id"] == lock.owner["id"]
            while holder(remote)["beat"] < 3:  # else it may be another's again at its end, and is left alone
                assert time.monotonic() - began < 20
                time.sleep(0.01)
        assert not exists(f"{remote}.lock")


@pytest.mark.usefixtures("quick")
def test_a_live_one_is_never_taken(remote: str) -> None:
    """By its own clock it ended a quarter of an hour ago; it is written again all the same."""
    stop = threading.Event()

    def live() -> None:
        beat = 0
        while not stop.wait(0.1):
            beat += 1
            put(remote, until=time.time() - QUARTER, beat=beat)

    put(remote, until=time.time() - QUARTER)
    thread = threading.Thread(target=live)
    thread.start()
    try:
        with (
            pytest.raises(InputError, match=r"process 7 on there is writing it now: .* free"),
            OutputLock(remote),
        ):
            pytest.fail("it lives")
    finally:
        stop.set()
        thread.join()
    assert holder(remote)["id"] == "x"


@pytest.mark.s3
@pytest.mark.parametrize("skew", [-QUARTER, 0, QUARTER])
def test_clocks_decide_nothing(s3_bucket: str, monkeypatch: pytest.MonkeyPatch, skew: int) -> None:
    uri = f"{s3_bucket}/lake/out.zarr"
    put(uri, until=time.time() + skew)
    ours = SimpleNamespace(time=lambda: time.time() - skew, sleep=lambda seconds: None)  # the server's is right
    monkeypatch.setattr(module, "time", ours)
    with pytest.raises(InputError, match="process 7 on there is writing it now"), OutputLock(uri):
        pytest.fail("it was written a moment ago")
    assert 0 <= (age_by_server(f"{uri}.lock") or 0) < 30
    monkeypatch.setattr(module, "age_by_server", lambda address: 91.5)
    with OutputLock(uri) as lock:
        assert holder(uri)["id"] == lock.owner["id"]
    assert not exists(f"{uri}.lock")


@pytest.mark.s3
def test_age_by_the_clock_of_the_server(s3_bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    uri = f"{s3_bucket}/object"
    write_bytes(uri, b"1")
    time.sleep(1.2)
    assert 1 <= (age_by_server(uri) or 0) < 30
    fs, _ = module.filesystem(uri)
    answer: dict[str, Any] = {"LastModified": datetime(2026, 1, 1, tzinfo=UTC)}
    monkeypatch.setattr(fs, "call_s3", lambda *_, **__: answer)
    monkeypatch.setattr(module, "filesystem", lambda uri: (fs, uri.removeprefix("s3://")))
    assert age_by_server(uri) is None  # says no Date
    answer["ResponseMetadata"] = {"HTTPHeaders": {"date": "Thu, 01 Jan 2026 00:02:00 GMT"}}
    assert age_by_server(uri) == 120
    answer["ResponseMetadata"] = {"HTTPHeaders": {"date": "Wed, 31 Dec 2025 23:58:00 GMT"}}
    assert age_by_server(uri) is None  # its clock was set back


@pytest.mark.s3
def test_its_own_reply_was_lost(proxy: FaultyProxy, s3_bucket: str) -> None:
    uri = f"{s3_bucket}/out.zarr"
    proxy.faults = once("PUT", ".lock", "lost_reply", times=1)
    with OutputLock(uri) as lock:
        assert proxy.spoiled["lost_reply"] == 1
        assert holder(uri)["id"] == lock.owner["id"]
    assert not exists(f"{uri}.lock")


@pytest.mark.s3
@pytest.mark.parametrize("kind", ["slow_down", "reset", "denied"])
def test_unknown_is_not_free(proxy: FaultyProxy, s3_bucket: str, kind: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    uri = f"{s3_bucket}/out.zarr"
    content = put(uri)
    monkeypatch.setattr("s3fs.S3FileSystem.retries", 1)
    for method in ("GET", "HEAD"):
        proxy.faults = once(method, ".lock", kind, times=1000)
        with pytest.raises(RunError, match=r"out\.zarr\.lock: cannot be read: "), OutputLock(uri):
            pytest.fail("nobody knows whether it lives")
        proxy.faults = lambda request: None
        assert read_bytes(f"{uri}.lock") == content


@pytest.mark.usefixtures("quick")
def test_it_is_written_again_and_again(remote: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever failed in between."""
    failures: list[Exception] = [ConnectionError("reset"), RuntimeError("a type of its own")]
    original = module.swaps.replace

    def flaky(*arguments: Any) -> bool:
        if failures:
            raise failures.pop()
        return original(*arguments)

    with OutputLock(remote):
        monkeypatch.setattr(module.swaps, "replace", flaky)
        first = holder(remote)["beat"]
        deadline = time.monotonic() + 5
        while holder(remote)["beat"] <= first + 3:
            assert time.monotonic() < deadline
            time.sleep(0.02)
    assert failures == []
    time.sleep(0.1)
    assert not exists(f"{remote}.lock")


@pytest.mark.usefixtures("quick")
def test_who_slept_past_it_takes_nothing_back(remote: str) -> None:
    with OutputLock(remote) as lock:
        lock.fence.check()
        other = put(remote)
        time.sleep(0.2)
        assert read_bytes(f"{remote}.lock") == other
        with pytest.raises(RunError, match="this run has lost its lock, process 7 on there has it now"):
            lock.fence.check()
    assert read_bytes(f"{remote}.lock") == other


@pytest.mark.parametrize("place", ["memory", pytest.param("s3", marks=pytest.mark.s3)])
def test_many_find_it_dead_and_one_takes_it(
    remote: str, place: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = remote if place == "memory" else f"{request.getfixturevalue('s3_bucket')}/out.zarr"
    monkeypatch.setattr(module, "age_by_server", lambda address: 1e6 if address.startswith("s3") else None)
    monkeypatch.setattr(module, "LEASE_SECONDS", 0.2)
    monkeypatch.setattr(module, "WATCH_SECONDS", 0.05)
    put(uri)
    leases = [Lease(f"{uri}.lock", {**OTHER, "id": str(number)}) for number in range(6)]
    with ThreadPoolExecutor(6) as pool:
        taken = [number for number, found in enumerate(pool.map(Lease.take, leases)) if found is None]
    monkeypatch.undo()
    assert [holder(uri)["id"]] == [str(number) for number in taken]
    for number in taken:
        leases[number].release()
    assert not exists(f"{uri}.lock")

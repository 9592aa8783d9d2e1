"""The cluster of this machine is closed to others; neither a frozen worker nor a lost scheduler hangs a run."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import psutil
import pytest
from distributed.comm import connect
from distributed.security import Security

from flows.base.workers import open_engine
from landmark_ops.configs.embed import ClusterConfig
from landmark_ops.engine.cluster import ClusterEngine
from landmark_ops.errors import RunError
from tests import block_functions as fns
from tests.engine.clusters import ITEMS, TEXT, within
from tests.flows.running import REPO, environment

LARGE = 1 << 40  # bytes of a source that worker processes are started for


def joined(engine: ClusterEngine, seconds: float) -> Callable[[], str]:
    """The text of all items by imap, put back in order."""
    return lambda: "".join(text for _, text in sorted(engine.imap(fns.slow_text, ITEMS, seconds)))


def folded(engine: ClusterEngine, seconds: float) -> Callable[[], str]:
    """The text of all items by reduce."""
    return lambda: engine.reduce(fns.slow_text, fns.concatenate, ITEMS, seconds)


# --- closed to others


async def greeted(address: str, security: Security | None) -> bool:
    """Whether a connection is taken: with the certificates of `security`, or without any."""
    arguments = security.get_connection_args("client") if security else {}
    try:
        comm = await connect(address, timeout=2, **arguments)
    except OSError:
        return False
    await comm.close()
    return True


def test_strangers_are_turned_away() -> None:
    """No plain connection to scheduler, nannies and workers, none with other certificates, and no page to read."""
    with open_engine(ClusterConfig(workers=2), LARGE) as engine:
        found = engine.client.scheduler_info(n_workers=-1)["workers"]
        addresses = [engine.client.scheduler.address, *found, *(one["nanny"] for one in found.values())]
        assert len(addresses) == 5
        for address in addresses:
            assert address.startswith("tls://127.0.0.1:")
            assert not asyncio.run(greeted(address.replace("tls", "tcp"), None))
            assert not asyncio.run(greeted(address, Security.temporary()))
        assert asyncio.run(greeted(addresses[0], engine.client.security))
        check_pages()


def test_threads_are_reached_by_nobody() -> None:
    with open_engine(ClusterConfig(workers=2), 0) as engine:
        assert engine.client.scheduler.address.startswith("inproc://")
        check_pages()


def check_pages() -> None:
    """All ports of this process and its children are on loopback, and none of them serves a page of Dask's."""
    family = [psutil.Process(), *psutil.Process().children(recursive=True)]
    sockets = [one for member in family for one in member.net_connections("tcp") if one.status == psutil.CONN_LISTEN]
    for place in sockets:
        assert place.laddr.ip in ("127.0.0.1", "::1")
        for path in ("/status", "/info/main/workers.html", "/metrics", "/json/counts.json"):
            try:
                answer = httpx.get(f"http://127.0.0.1:{place.laddr.port}{path}", timeout=2)
            except httpx.HTTPError:
                continue
            assert answer.status_code == 404, path


# --- a frozen worker


@pytest.fixture
def frozen_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flows.base.workers.FROZEN_SECONDS", 1.5)
    monkeypatch.setattr("landmark_ops.engine.shared.SPREAD_SECONDS", 0.5)


@pytest.mark.slow
@pytest.mark.usefixtures("frozen_soon")
@pytest.mark.parametrize(
    ("call", "freeze", "thaw"),
    [(folded, 0.5, None), (joined, 0.5, 4.0), (joined, 0.0, None), (folded, 0.0, None)],
    ids=["in the middle", "woken too late", "before imap", "before reduce"],
)
def test_the_blocks_of_a_frozen_worker_go_elsewhere(call: Any, freeze: float, thaw: float | None) -> None:
    """SIGSTOP: as a debugger, a hung disk or a swapped-out machine would. Woken later, it does no harm."""
    with open_engine(ClusterConfig(workers=2), LARGE) as engine:
        victim, _ = engine.client.run(os.getpid).values()
        timers = [threading.Timer(thaw, os.kill, (victim, signal.SIGCONT))] if thaw else []
        if freeze:
            timers.append(threading.Timer(freeze, os.kill, (victim, signal.SIGSTOP)))
        else:  # before the arguments are sent
            os.kill(victim, signal.SIGSTOP)
        for timer in timers:
            timer.start()
        assert within(call(engine, 0.1)) == TEXT
        for timer in timers:
            timer.join()
        assert within(call(engine, 0.0)) == TEXT  # and the next pass
    assert not psutil.pid_exists(victim)


# --- a lost scheduler


@contextmanager
def running_cluster() -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """Address and scheduler process of a cluster with one worker, on loopback."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{probe.getsockname()[1]}"
    commands = [
        ["distributed.cli.dask_scheduler", "--host", address, "--no-dashboard"],
        ["distributed.cli.dask_worker", address, "--nworkers", "1", "--nthreads", "1", "--no-dashboard"],
    ]
    started = [
        subprocess.Popen(
            [sys.executable, "-m", *command],
            env=environment(),
            cwd=REPO,
            start_new_session=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for command in commands
    ]
    try:
        yield address, started[0]
    finally:
        for process in started:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@pytest.mark.slow
@pytest.mark.parametrize("call", [joined, folded], ids=["imap", "reduce"])
def test_a_lost_scheduler_is_named(call: Any, monkeypatch: pytest.MonkeyPatch, capfd: Any) -> None:
    """One line, in seconds, and nothing of Dask's on the terminal."""
    monkeypatch.setattr("landmark_ops.engine.losses.RECONNECT_SECONDS", 0.5)
    began = 0.0
    message = r"the Dask scheduler tcp://127\.0\.0\.1:\d+ was lost: is it running, and reachable\? What is committed is"
    with running_cluster() as (address, scheduler), pytest.raises(RunError, match=message):  # noqa: PT012, SIM117
        with open_engine(ClusterConfig(address=address), LARGE) as engine:
            threading.Timer(0.5, scheduler.kill).start()
            began = time.monotonic()
            within(call(engine, 0.2))
    assert time.monotonic() - began < 10
    assert capfd.readouterr() == ("", "")

"""Dask clusters on this machine, and patience with them: helpers and fixtures of the tests of the engine."""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import dask
import pytest
from distributed import Client, LocalCluster

from landmark_ops.engine.cluster import ClusterEngine
from landmark_ops.passes.ranges import ranges

T = TypeVar("T")
ITEMS = ranges(60, 1)
TEXT = "".join(f"{i}," for i in range(60))


# As flows.base.workers sets it: by default a worker that is down 15 s after an earlier death is never started again.
NANNIES_STAY = {"distributed.deploy.lost-worker-timeout": "365 days"}
PATIENCE = 60.0  # seconds until a test counts as hanging: killed workers are back after two


def within(call: Callable[[], T], seconds: float = PATIENCE) -> T:
    """The result or error of `call`; a failure, not a hanging test, where neither comes in time."""
    outcome: list[Any] = []

    def run() -> None:
        try:
            outcome.extend((True, call()))
        except BaseException as error:
            outcome.extend((False, error))

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    if not outcome:
        pytest.fail(f"hangs: nothing came within {seconds} s")
    if not outcome[0]:
        raise outcome[1]
    return outcome[1]


def start(**options: Any) -> LocalCluster:
    return LocalCluster(threads_per_worker=1, dashboard_address="127.0.0.1:0", silence_logs=50, **options)


@pytest.fixture(scope="module")
def threads() -> Iterator[ClusterEngine]:
    """Two workers in this process."""
    with start(n_workers=2, processes=False) as local, Client(local, set_as_default=False) as client:
        yield ClusterEngine(client)


@pytest.fixture(scope="module")
def processes() -> Iterator[ClusterEngine]:
    """Two workers in processes that their nannies start again; a task that killed two workers is given up."""
    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 1, **NANNIES_STAY}),
        start(n_workers=2) as local,
        Client(local, set_as_default=False) as client,
    ):
        yield ClusterEngine(client)


@pytest.fixture(scope="module")
def lone() -> Iterator[ClusterEngine]:
    """One worker process: its data is lost when it dies."""
    with (
        dask.config.set(NANNIES_STAY),
        start(n_workers=1) as local,
        Client(local, set_as_default=False) as client,
    ):
        yield ClusterEngine(client)


@pytest.fixture(params=["threads", "processes"])
def engine(request: pytest.FixtureRequest) -> ClusterEngine:
    """A whole cluster: both workers up, however the test before ended."""
    found = request.getfixturevalue(request.param)
    found.client.wait_for_workers(2, timeout=PATIENCE)
    return found


def scheduler_of(engine: ClusterEngine) -> Any:
    return engine.client.cluster.scheduler


def settle(engine: ClusterEngine) -> None:
    """Wait until the scheduler has forgotten all tasks and data."""
    gc.collect()  # a caught error holds the futures of the frames it went through
    deadline = time.monotonic() + 20
    while scheduler_of(engine).tasks:
        assert time.monotonic() < deadline, f"left on the cluster: {list(scheduler_of(engine).tasks)}"
        time.sleep(0.01)

"""Fixtures shared by all tests. Real files of the workplace come through `shared` alone; without it tests skip."""

from __future__ import annotations

import gc
import os
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings

# Set before Prefect is imported anywhere: no telemetry, no logs, and never the user's own profile or database.
os.environ.update(
    PREFECT_SERVER_ANALYTICS_ENABLED="false",
    DO_NOT_TRACK="1",
    PREFECT_LOGGING_ROOT_LEVEL="ERROR",
    PREFECT_LOGGING_LEVEL="CRITICAL",
    PREFECT_LOGGING_TO_API_ENABLED="false",
)
os.environ.pop("PREFECT_API_URL", None)

# The same examples in every run: a gate that fails by chance is soon ignored.
settings.register_profile("fixed", derandomize=True)
settings.load_profile("fixed")


@pytest.fixture(autouse=True, scope="module")
def no_threads_left() -> Iterator[None]:
    """What a test file starts it also ends: threads that go on would disturb the files after it in this process.

    Not counted are daemon threads, as event loops of fsspec, Prefect and Dask are, which last as long as the process,
    and the pools that Dask keeps for arrays.
    """
    before = set(threading.enumerate())
    yield
    until = time.monotonic() + 10
    while left := [one for one in threading.enumerate() if not one.daemon and one not in before | pooled_by_dask()]:
        gc.collect()  # pools of unreferenced engines end with them
        assert time.monotonic() < until, f"threads left behind: {', '.join(one.name for one in left)}"
        time.sleep(0.02)


def pooled_by_dask() -> set[threading.Thread]:
    threaded = sys.modules.get("dask.threaded")
    if threaded is None:
        return set()
    pools = [threaded.default_pool, *(pool for by_size in threaded.pools.values() for pool in by_size.values())]
    return {thread for pool in pools if pool is not None for thread in pool._threads}


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20260101)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real models, images and data beside the repository; tests that need it skip where it is absent."""
    place = Path(os.environ.get("LANDMARKS_SHARED", Path(__file__).parents[2] / "shared"))
    if not place.is_dir():
        pytest.skip(f"no folder of shared files at {place}: set LANDMARKS_SHARED to run this test")
    return place

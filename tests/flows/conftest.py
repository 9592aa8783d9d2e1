"""Fixtures of the flow tests: one Prefect server for all of them, with a database of its own."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def prefect_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("prefect")


@pytest.fixture(scope="session", autouse=True)
def prefect_server(prefect_home: Path) -> Iterator[str]:
    """Address of a Prefect API with an empty database: 10 to 15 s, once. Flows of this process report to it."""
    from flows.runtime import PrefectServer

    patch = pytest.MonkeyPatch()
    patch.setenv("PREFECT_HOME", str(prefect_home))
    server = PrefectServer()
    server.start()
    from prefect.settings import PREFECT_API_URL, temporary_settings

    server.wait()
    with temporary_settings({PREFECT_API_URL: server.url}):
        yield server.url
    server.stop()
    patch.undo()


@pytest.fixture
def many_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tasks of about 1 KiB, so that a few hundred rows make many chunks."""
    monkeypatch.setattr("landmark_ops.blocks.ranges.TASK_BYTES", 1 << 10)


@pytest.fixture
def processes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Worker processes, as large sources get them, instead of threads."""
    monkeypatch.setattr("flows.runtime.IN_PROCESS_BYTES", 0)


@pytest.fixture
def signals() -> Iterator[None]:
    """Put back the SIGTERM handler that the command installs."""
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)

"""Fixtures of the flow tests: one Prefect server for all of them, with a database of its own."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.s3_server import hasty, s3_bucket, s3_proxy, s3_server  # noqa: F401  fixtures


@pytest.fixture(scope="session")
def prefect_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("prefect")


@pytest.fixture(scope="session", autouse=True)
def prefect_server(prefect_home: Path) -> Iterator[str]:
    """Address of a Prefect API with an empty database: 10 to 15 s, once. Flows of this process report to it."""
    from flows.base.prefect_server import PrefectServer

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PREFECT_HOME", str(prefect_home))
        server = PrefectServer()
        server.start()
        from prefect.settings import PREFECT_API_URL, PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings

        server.wait()
        # Prefect waits up to a second for its heartbeat at the end of every flow run: half the time of a small one.
        with temporary_settings({PREFECT_API_URL: server.url, PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}):
            yield server.url
        server.stop()


@pytest.fixture
def many_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tasks of 1 KiB, so that a few hundred rows make many chunks."""
    monkeypatch.setattr("landmark_ops.passes.ranges.TASK_BYTES", 1 << 10)


@pytest.fixture
def processes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Worker processes, as large sources get them, instead of threads."""
    monkeypatch.setattr("flows.base.machine.IN_PROCESS_BYTES", 0)


@pytest.fixture
def bare_report(monkeypatch: pytest.MonkeyPatch) -> None:
    """A page without pictures, which take most of the time of a small run."""
    monkeypatch.setattr("flows.embed.report.write_report", lambda report, write: write("index.html", b"<html></html>"))


@pytest.fixture
def signals() -> Iterator[None]:
    """Put back the SIGTERM handler that the command installs."""
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)

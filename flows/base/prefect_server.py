"""The Prefect API that a run reports to: a configured one, or a temporary server of its own.

It starts while the rest is still being imported and opened, so that a small job feels small.
"""

from __future__ import annotations

import atexit
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from flows.base.loopback import spare_loopback
from flows.base.prefect_api import check_api
from flows.base.throwaway import DATABASE, forget_template, keep_template, make_home, prefect_home
from landmark_ops.errors import RunError

#: Prefect without telemetry and without log lines of its own on the console; anything the user has set stays.
QUIET = {
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "DO_NOT_TRACK": "1",
    "PREFECT_LOGGING_ROOT_LEVEL": "ERROR",
    "PREFECT_LOGGING_LEVEL": "CRITICAL",
    "PREFECT_SERVER_LOGGING_LEVEL": "CRITICAL",
    "PREFECT_LOGGING_INTERNAL_LEVEL": "CRITICAL",
    "PREFECT_LOGGING_TO_API_ENABLED": "false",
    "PREFECT_CLI_COLORS": "false",
}
#: A database that the user names is used and kept; else a temporary server has its own, deleted with it.
DATABASE_URLS = ("PREFECT_SERVER_DATABASE_CONNECTION_URL", "PREFECT_API_DATABASE_CONNECTION_URL")
SERVER_SECONDS = 120  # a first start on a slow disk creates Prefect's database: 16 s measured


class PrefectServer:
    """The Prefect API of this run: the one that is configured, or a temporary one on loopback.

    `start` returns at once; `wait` blocks until the API answers.
    """

    def __init__(self) -> None:
        self.process: subprocess.Popen[bytes] | None = None
        self.url = ""
        self.home: Path | None = None  # of a temporary server, deleted with it
        self.from_template = False

    def start(self) -> None:
        """Start a temporary server unless PREFECT_API_URL, or the active Prefect profile, names one."""
        for key, value in QUIET.items():
            os.environ.setdefault(key, value)
        spare_loopback()
        if configured("PREFECT_API_URL"):
            return
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        environment = {**os.environ, "PREFECT_UI_ENABLED": "0", "PREFECT__SERVER_EPHEMERAL": "1"}
        place = []
        if not any(configured(name) for name in DATABASE_URLS):
            self.home = make_home()
            self.from_template = (self.home / DATABASE).exists()
            environment["PREFECT_HOME"] = str(self.home)
            place = [str(self.home)]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "flows.base.server", str(port), *place],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C in the terminal must not reach it
        )
        self.url = f"http://127.0.0.1:{port}/api"
        os.environ["PREFECT_API_URL"] = self.url
        atexit.register(self.stop)

    def wait(self) -> None:
        """Return once the API answers; RunError if a temporary server does not come up, or a configured one is down."""
        if self.process is None:
            check_api()
            return
        import httpx

        deadline = time.monotonic() + SERVER_SECONDS
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                if self.from_template:
                    forget_template()
                raise RunError(
                    f"the temporary Prefect server ended with code {self.process.returncode} at start: is "
                    f"{tempfile.gettempdir()} writable, and its disk not full? Set TMPDIR to a folder that may be "
                    "written; `prefect server start` shows the reason"
                )
            try:
                if httpx.get(f"{self.url}/health", timeout=5).status_code == 200:
                    if self.home and not self.from_template:
                        keep_template(self.home)
                    return
            except httpx.TransportError:
                time.sleep(0.05)
        raise RunError(f"the temporary Prefect server did not answer within {SERVER_SECONDS} s")

    def stop(self) -> None:
        """End the temporary server, if one runs."""
        process, self.process = self.process, None
        if process is None:
            return
        if process.poll() is None:
            os.environ.pop("PREFECT_API_URL", None)
            process.terminate()
            try:
                process.wait(timeout=5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        if self.home:
            shutil.rmtree(self.home, ignore_errors=True)


def configured(name: str) -> bool:
    """Whether a setting of Prefect is given, in the environment or in the active Prefect profile."""
    if os.environ.get(name):
        return True
    try:
        profiles = tomllib.loads((prefect_home() / "profiles.toml").read_text())
    except (OSError, ValueError):
        return False
    active = profiles.get("profiles", {}).get(os.environ.get("PREFECT_PROFILE", profiles.get("active", "")), {})
    return bool(active.get(name))


@contextmanager
def quiet_server(server: PrefectServer) -> Iterator[None]:
    """Point Prefect at our own server, without heartbeats.

    Nothing reads them, and the last one delays a run by 0.6 s. Prefect read its settings when imported: a second run in
    one process, as in a notebook, would look for the server of the first.
    """
    if server.process is None:
        yield
        return
    from prefect.settings import PREFECT_API_URL, PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings

    with temporary_settings({PREFECT_API_URL: server.url, PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}):
        yield

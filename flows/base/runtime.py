"""What a run stands on: the Prefect API it reports to and the Dask workers it computes on.

Both start while the rest is still being imported and opened, so that a small job feels small.
"""

from __future__ import annotations

import atexit
import ipaddress
import logging
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flows.base.loopback import spare_loopback
from flows.base.prefect_api import check_api
from flows.base.scheduler import knock
from flows.base.throwaway import DATABASE, forget_template, keep_template, make_home, prefect_home
from landmark_ops.errors import InputError, RunError

if TYPE_CHECKING:
    from distributed import Client

    from landmark_ops.configs.embed import ClusterConfig
    from landmark_ops.engine.cluster import ClusterEngine

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
#: Whoever names a database of his own keeps it; else a temporary server has one of its own that goes with it.
DATABASE_URLS = ("PREFECT_SERVER_DATABASE_CONNECTION_URL", "PREFECT_API_DATABASE_CONNECTION_URL")
SERVER_SECONDS = 120  # a first start on a slow disk creates Prefect's database: 16 s measured
FROZEN_SECONDS = 60  # a worker not heard of for so long is given up, and its blocks go to others
IN_PROCESS_BYTES = 64 << 20  # sources below it are computed on threads: worker processes take longer to start

#: Dask on this machine.
LOCAL: dict[str, Any] = {
    "distributed.logging": {"distributed": "critical"},
    "logging": {"distributed": "critical", "distributed.worker": "critical", "distributed.nanny": "critical"},
    "distributed.worker.memory.spill": False,  # a task's result is a few kilobytes: nothing is worth spilling
    "distributed.worker.profile.enabled": False,  # samples the stack every 10 ms: 5 % of detection's time
    # At 15 s, the default, a nanny is closed for good if its worker is down, again, 15 s after an earlier death.
    "distributed.deploy.lost-worker-timeout": "365 days",
    "distributed.scheduler.http.routes": [],  # pages that any local user may read
    "distributed.worker.http.routes": [],
    "distributed.scheduler.no-workers-timeout": "2 minutes",  # nannies take a second: a run must not wait for ever
}


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
            start_new_session=True,  # the terminal's Ctrl-C is for us, not for it
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


def worker_count(cluster: ClusterConfig) -> int:
    """Workers of a local cluster: as configured, or one per core this process may use."""
    return cluster.workers or len(os.sched_getaffinity(0))


def worker_memory(cluster: ClusterConfig) -> int:
    """Bytes each worker of a local cluster may use: as configured, or its share of 90 % of this machine's memory."""
    if cluster.memory is not None:
        return cluster.memory
    return int(0.9 * machine_memory() / worker_count(cluster))


def machine_memory() -> int:
    """Bytes of memory that this machine, or the container or group of processes we are in, may use."""
    from distributed.system import MEMORY_LIMIT

    return int(MEMORY_LIMIT)


def on_threads(cluster: ClusterConfig, source_bytes: int) -> bool:
    """Whether the workers are threads of the flow's process: small sources are done before processes are up."""
    return cluster.address is None and source_bytes <= IN_PROCESS_BYTES


def check_address(cluster: ClusterConfig) -> None:
    """Refuse to send data and code over an open network unencrypted: Dask runs whatever it is sent."""
    address = cluster.address or ""
    scheme, _, place = address.rpartition("://")
    if scheme not in ("tls", "inproc") and not is_loopback(place) and not cluster.allow_plaintext:
        raise InputError(
            f"cluster.address {address}: neither tls:// nor on this machine, and Dask runs whatever code it is sent: "
            "use tls://, or set cluster.allow_plaintext: true on a network you trust"
        )


def is_loopback(place: str) -> bool:
    """Whether host:port is on this machine, by its whole name: 127.0.0.1.example.com is somebody else's."""
    host = place.rpartition(":")[0] or place
    try:
        return host == "localhost" or ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


@contextmanager
def open_engine(cluster: ClusterConfig, source_bytes: int, allowed_failures: int = 3) -> Iterator[ClusterEngine]:
    """The engine of one run: a running cluster by address, processes of this machine, or threads for small sources.

    `allowed_failures`: workers that may die under a task, or beside it, before the task is given up.
    """
    import dask

    from landmark_ops.engine.cluster import ClusterEngine

    silence_dask()
    if cluster.address:
        check_address(cluster)
        with running_cluster(cluster.address) as client:
            yield ClusterEngine(client)
        return
    settings = {
        **LOCAL,
        "distributed.scheduler.allowed-failures": allowed_failures,
        "distributed.scheduler.worker-ttl": f"{FROZEN_SECONDS} s",
    }
    with dask.config.set(settings), local_cluster(cluster, source_bytes) as client:
        yield ClusterEngine(client)


@contextmanager
def running_cluster(address: str) -> Iterator[Client]:
    """A client of the scheduler at an address; RunError where none answers, or its workers are not of this version."""
    from distributed import Client

    knock(address)
    try:
        client = Client(address, timeout=20, set_as_default=False)
    except (OSError, TimeoutError, ValueError) as error:
        raise RunError(
            f"cluster.address {address}: no scheduler answers there: is it running, and reachable?"
        ) from error
    with client:
        check_workers(client, address)
        yield client


@contextmanager
def local_cluster(cluster: ClusterConfig, source_bytes: int) -> Iterator[Client]:
    """A client of workers on this machine: processes, or threads of this one for small sources."""
    from distributed import Client, LocalCluster
    from distributed.security import Security
    from threadpoolctl import threadpool_limits

    count = worker_count(cluster)
    options: dict[str, Any] = {
        "dashboard_address": "127.0.0.1:0",
        "worker_dashboard_address": "127.0.0.1:0",  # else a worker on threads serves its pages on every interface
        "scheduler_kwargs": {"dashboard": False},
        "silence_logs": 50,
    }
    if on_threads(cluster, source_bytes):
        with (
            threadpool_limits(1, user_api="blas"),
            LocalCluster(n_workers=1, threads_per_worker=count, processes=False, **options) as local,
            Client(local, set_as_default=False) as client,
        ):
            yield client
        return
    with (
        LocalCluster(
            n_workers=count,
            threads_per_worker=1,
            memory_limit=worker_memory(cluster),
            security=Security.temporary(),  # Dask runs what it is sent, and loopback is open to every local user
            **options,
        ) as local,
        Client(local, set_as_default=False) as client,
    ):
        client.run(_ignore_interrupts)
        yield client


def silence_dask() -> None:
    """Keep distributed's lines off the terminal: where Prefect was imported first, `silence_logs` does not."""
    for name in [*logging.root.manager.loggerDict]:
        if name.partition(".")[0] == "distributed":
            logging.getLogger(name).setLevel(logging.CRITICAL)


def check_workers(client: Any, address: str) -> None:
    """Wait for workers and make sure each can import this version of the package; RunError where not."""
    from landmark_ops import __version__

    try:
        client.wait_for_workers(1, timeout=60)
        found = client.run(_version)
    except TimeoutError as error:
        raise RunError(
            f"cluster.address {address}: no worker joined within 60 s: start some, or check their logs"
        ) from error
    except ImportError as error:
        raise RunError(
            f"cluster.address {address}: its workers lack landmark-ops: install {__version__} there"
        ) from error
    if other := sorted({version for version in found.values() if version != __version__}):
        raise RunError(
            f"cluster.address {address}: workers run landmark-ops {', '.join(other)}, this process {__version__}: "
            "install the same version on both sides"
        )


def _version() -> str:
    from landmark_ops import __version__

    return __version__


def _ignore_interrupts() -> None:
    """In a worker: Ctrl-C in the terminal reaches every process of the group; only the flow decides what it means."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)

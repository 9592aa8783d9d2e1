"""The Dask workers that a run computes on: a running cluster, processes of this machine, or threads of this process."""

from __future__ import annotations

import ipaddress
import logging
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from flows.base.machine import on_threads, worker_count, worker_memory
from flows.base.scheduler import knock
from landmark_ops.errors import InputError, RunError

if TYPE_CHECKING:
    from distributed import Client

    from landmark_ops.configs.embed import ClusterConfig
    from landmark_ops.engine.cluster import ClusterEngine

FROZEN_SECONDS = 60  # a worker silent for so long is given up, and its tasks go to others

#: Dask on this machine.
LOCAL: dict[str, Any] = {
    "distributed.logging": {"distributed": "critical"},
    "logging": {"distributed": "critical", "distributed.worker": "critical", "distributed.nanny": "critical"},
    "distributed.worker.memory.spill": False,  # a task's result is a few kilobytes: nothing is worth spilling
    "distributed.worker.profile.enabled": False,  # samples the stack every 10 ms: 5 % of detection's time
    # With the default, 15 s, a nanny is closed for good if its worker is down once more 15 s after it died.
    "distributed.deploy.lost-worker-timeout": "365 days",
    "distributed.scheduler.http.routes": [],  # pages that any local user may read
    "distributed.worker.http.routes": [],
    "distributed.scheduler.no-workers-timeout": "2 minutes",  # nannies take a second: a run must not wait for ever
}


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
    """Whether host:port is on this machine, by its whole name: 127.0.0.1.example.com is another machine."""
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

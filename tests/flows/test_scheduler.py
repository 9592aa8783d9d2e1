"""A scheduler by address: one line, in seconds, for each way in which it can be missing."""

from __future__ import annotations

import gc
import socket
import threading
import time
from collections.abc import Iterator

import pytest
from distributed import LocalCluster
from distributed.security import Security

from flows.base import scheduler
from flows.base.scheduler import knock
from landmark_ops.errors import InputError, RunError

# connections that are refused are left to the collector by Dask
pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture
def stranger() -> Iterator[str]:
    """Something that answers, but not as a scheduler does."""
    listener = socket.create_server(("127.0.0.1", 0))
    connections: list[socket.socket] = []

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            connections.append(connection)
            connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n" + b"x" * 4096)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield f"tcp://127.0.0.1:{listener.getsockname()[1]}"
    listener.shutdown(socket.SHUT_RDWR)
    thread.join()
    for one in (listener, *connections):
        one.close()


@pytest.fixture(autouse=True)
def _collected() -> Iterator[None]:
    """What Dask leaves to the collector is collected here, where its warnings are expected, not in another file."""
    yield
    gc.collect()


def test_a_scheduler_that_is_there() -> None:
    with LocalCluster(n_workers=0, processes=False, dashboard_address="127.0.0.1:0") as local:
        knock(local.scheduler_address)
    with LocalCluster(
        n_workers=0, processes=False, protocol="tls://", security=Security.temporary(), dashboard_address="127.0.0.1:0"
    ) as local:
        with pytest.raises(RunError, match=r"tls:// needs certificates, and none are configured: name them in Dask"):
            knock(local.scheduler_address)
        with pytest.raises(RunError, match=r"no scheduler answers there .*with tls:// where it uses TLS"):
            knock(local.scheduler_address.replace("tls", "tcp"))


@pytest.mark.parametrize(
    ("address", "kind", "message"),
    [
        ("tcp://127.0.0.1:9", RunError, r"no scheduler answers there \(.*Connection refused"),
        ("tcp://no.such.host.invalid:1", RunError, "no scheduler answers there"),
        ("tcp://127.0.0.1", InputError, "is no address"),
        ("foo://127.0.0.1:1", RunError, "no scheduler answers there"),
        ("tls://anna:hunter22@127.0.0.1:9", InputError, "takes no user and password"),
    ],
)
def test_none_is_there(monkeypatch: pytest.MonkeyPatch, address: str, kind: type[Exception], message: str) -> None:
    monkeypatch.setattr(scheduler, "SECONDS", 1.5)  # a busy machine takes half a second to be refused
    with pytest.raises(kind, match=message) as caught:
        knock(address)
    assert str(caught.value).startswith("cluster.address t") or "foo" in str(caught.value)
    assert "hunter22" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_cause_is_told_where_dask_was_cut_short(monkeypatch: pytest.MonkeyPatch) -> None:
    async def cut(*_: object, **__: object) -> None:
        raise OSError("Timed out trying to connect") from TimeoutError()

    monkeypatch.setattr("distributed.comm.core.connect", cut)
    with pytest.raises(RunError, match=r"no scheduler answers there \(.*Connection refused"):
        knock("tcp://127.0.0.1:9")


def test_something_else_is_there(monkeypatch: pytest.MonkeyPatch, stranger: str) -> None:
    monkeypatch.setattr(scheduler, "SECONDS", 0.5)
    began = time.perf_counter()
    with pytest.raises(RunError, match="no scheduler answers there"):
        knock(stranger)
    assert time.perf_counter() - began < 5

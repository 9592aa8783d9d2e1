"""A mock S3 on loopback, one for all tests of a session: import its fixtures into a conftest."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator
from functools import cache

import pytest

from tests.faulty_proxy import FaultyProxy, faulty_proxy

_numbers = itertools.count()


@cache
def start_server() -> str:
    """Start the server, once per process; it ends with it. Returns the endpoint."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    return f"http://{host}:{port}"


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    """The endpoint of a mock S3 on a free loopback port; AWS_* of this process point at it."""
    endpoint = start_server()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", endpoint)
        patch.setenv("AWS_ACCESS_KEY_ID", "test")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "test")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        patch.setenv("AWS_REGION", "us-east-1")
        yield endpoint


@pytest.fixture
def s3_bucket(s3_server: str) -> str:
    """s3:// address of a new, empty bucket."""
    import boto3

    name = f"bucket-{next(_numbers)}"
    boto3.client("s3").create_bucket(Bucket=name)
    return f"s3://{name}"


@pytest.fixture
def s3_proxy(s3_server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultyProxy]:
    """A proxy that can spoil requests; AWS_* of this process point at it instead of at the mock S3 itself."""
    with faulty_proxy(s3_server) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        yield proxy


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who waits before another try waits 20 ms at most."""
    sleep = asyncio.sleep
    monkeypatch.setattr("asyncio.sleep", lambda seconds, *rest: sleep(min(seconds, 0.02), *rest))

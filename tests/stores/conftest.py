from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    """The endpoint of a mock S3 on a free loopback port; AWS_* of this process point at it."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    endpoint = f"http://{host}:{port}"
    patch = pytest.MonkeyPatch()
    patch.setenv("AWS_ENDPOINT_URL", endpoint)
    patch.setenv("AWS_ACCESS_KEY_ID", "test")
    patch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    patch.setenv("AWS_REGION", "us-east-1")
    yield endpoint
    patch.undo()
    server.stop()


@pytest.fixture(scope="session")
def s3_bucket_names() -> Iterator[str]:
    return (f"bucket-{i}" for i in itertools.count())


@pytest.fixture
def s3_bucket(s3_server: str, s3_bucket_names: Iterator[str]) -> str:
    """s3:// address of a new, empty bucket."""
    import boto3

    name = next(s3_bucket_names)
    boto3.client("s3").create_bucket(Bucket=name)
    return f"s3://{name}"

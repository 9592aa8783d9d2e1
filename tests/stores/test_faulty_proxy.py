"""The faulty proxy, tested for other tests: each fault happens as asked, at the request asked for."""

from __future__ import annotations

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from tests.faulty_proxy import at_random, once

pytestmark = pytest.mark.s3


@pytest.fixture
def client(s3_bucket, s3_proxy):
    return boto3.client("s3", endpoint_url=s3_proxy.url, config=Config(retries={"total_max_attempts": 1}))


def test_what_passes_is_unchanged(client, s3_bucket):
    bucket = s3_bucket.removeprefix("s3://")
    body = bytes(range(256)) * 1000
    client.put_object(Bucket=bucket, Key="a/b ü.bin", Body=body)
    assert client.get_object(Bucket=bucket, Key="a/b ü.bin")["Body"].read() == body
    assert client.get_object(Bucket=bucket, Key="a/b ü.bin", Range="bytes=5-9")["Body"].read() == body[5:10]
    assert client.head_object(Bucket=bucket, Key="a/b ü.bin")["ContentLength"] == len(body)


@pytest.mark.parametrize(
    ("kind", "error", "arrives"),
    [
        ("slow_down", "SlowDown", False),
        ("denied", "InvalidAccessKeyId", False),
        ("expired", "ExpiredToken", False),
        ("reset", "Connection", False),
        ("lost_reply", "Connection", True),
    ],
)
def test_a_put_that_fails(client, s3_bucket, s3_proxy, kind, error, arrives):
    bucket = s3_bucket.removeprefix("s3://")
    s3_proxy.faults = once("PUT", "x", kind)
    with pytest.raises((BotoCoreError, ClientError), match=error):
        client.put_object(Bucket=bucket, Key="x", Body=b"1")
    assert ("Contents" in client.list_objects_v2(Bucket=bucket)) == arrives
    client.put_object(Bucket=bucket, Key="x", Body=b"2")
    assert s3_proxy.spoiled == {kind: 1}


def test_a_reply_cut_short(client, s3_bucket, s3_proxy):
    bucket = s3_bucket.removeprefix("s3://")
    client.put_object(Bucket=bucket, Key="x", Body=b"0123456789")
    s3_proxy.faults = once("GET", "x", "cut")
    with pytest.raises(BotoCoreError):
        client.get_object(Bucket=bucket, Key="x")["Body"].read()
    assert client.get_object(Bucket=bucket, Key="x")["Body"].read() == b"0123456789"


def test_random_faults_are_the_same_in_every_run(client, s3_bucket, s3_proxy):
    bucket = s3_bucket.removeprefix("s3://")

    def fates():
        s3_proxy._attempts.clear()
        found = []
        for key in range(100):
            try:
                client.put_object(Bucket=bucket, Key=f"k{key}", Body=b"")
                found.append("")
            except (BotoCoreError, ClientError) as error:
                found.append(type(error).__name__)
        return found

    s3_proxy.faults = at_random(0.2, seed=3)
    first = fates()
    assert 10 <= 100 - first.count("") <= 35
    assert fates() == first

"""What messages quote: one line, short, and never a secret."""

from __future__ import annotations

import doctest
import pickle

import pytest

from landmark_ops import wording
from landmark_ops.errors import BadRowsError, InputError, RunError
from landmark_ops.wording import has_secret, mask, one_line, shown

SECRETS = [
    "http://anna:hunter22@minio.local:9000/bucket",
    "https://anna@minio.local/bucket",
    "s3://AKIAEXAMPLE:hunter22/with+slash@bucket/key",
    "s3://bucket/key?X-Amz-Signature=hunter22&X-Amz-Date=1",
    "https://bucket.example/key?AWSAccessKeyId=hunter22&Signature=hunter22&Expires=1",
    "https://bucket.example/key?x-amz-security-token=hunter22",
    "https://account.blob.example/c?sv=1&sig=hunter22",
    "http://api.example/api?api_key=hunter22",
    "tls://user:hunter22@10.0.0.1:8786",
    "socks5h://u:hunter22@proxy:1080",
]


@pytest.mark.parametrize("address", SECRETS)
def test_secrets_are_masked(address):
    text = f"cannot reach '{address}' (again {address}): try"
    assert has_secret(address)
    for secret in ("hunter22", "anna", "AKIAEXAMPLE", "u:"):
        assert secret not in mask(text)
    assert mask(text).startswith("cannot reach '")
    assert mask(text).endswith(": try")
    assert mask(mask(text)) == mask(text)


@pytest.mark.parametrize(
    "address",
    [
        "s3://bucket/a@b/c",
        "s3://bucket/day=2024-01-01/key=7/part-0.parquet",
        "http://127.0.0.1:9000/a@b",
        "http://[::1]:9000/x",
        "tcp://10.0.0.1:8786",
        "/home/anna@work/x.zarr",
        "mail anna@example.org",
        "s3://bucket/prefix: cannot be read: write to a@b",
    ],
)
def test_plain_addresses_are_not(address):
    assert mask(address) == address
    assert not has_secret(address)


def test_keys_in_use_are_masked_wherever_they_appear(monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI/K7MDENG")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "test")  # too short to be told from a word
    assert mask("bad key wJalrXUtnFEMI/K7MDENG in a test") == "bad key *** in a test"


def test_errors_mask_as_they_are_made():
    for kind in (InputError, RunError):
        error = kind(f"source {SECRETS[0]}: gone")
        assert "hunter22" not in str(error)
        assert str(pickle.loads(pickle.dumps(error))) == str(error)
    bad = BadRowsError(1, 2, 3, SECRETS[0])
    assert "hunter22" not in str(bad)


def test_foreign_text_becomes_one_short_line():
    assert one_line("a \x1b[31mred\x1b[0m word") == "a red word"
    assert one_line("a\n  b\t c\r\n") == "a b c"
    assert len(one_line("x " * 10_000)) <= wording.LONGEST + 3
    assert one_line(ValueError(f"at {SECRETS[0]}\nx")) == "at http://***@minio.local:9000/bucket x"


def test_what_cannot_be_shown_is_named():
    class Mute(Exception):
        def __str__(self):
            raise AttributeError("nothing to say")

    assert one_line(Mute()) == "a Mute that cannot be shown"


def test_values_are_shown_short():
    wide = ["x" * 1000] * 1000
    deep: list = []
    for _ in range(500):
        deep = [deep, deep]  # written out, 2^500 lists
    for value in (wide, deep, {"a": wide}, "y" * 10**6, 10**4000, [SECRETS[0]]):
        assert len(shown(value)) <= 130
        assert "hunter22" not in shown(value)
    assert shown("a") == "'a'"
    assert shown(0.5) == "0.5"


def test_the_docstring_example():
    result = doctest.testmod(wording)
    assert (result.failed, result.attempted) == (0, 1)

"""Errors of the system, S3 and libraries become one line: cause, place, remedy, and the right exit code."""

from __future__ import annotations

import errno
import os
import pickle
import ssl

import aiohttp
import botocore.exceptions as boto
import pytest
from deltalake.exceptions import DeltaError
from s3fs.errors import translate_boto_error

from landmark_ops.errors import InputError, RunError
from landmark_ops.stores import locations
from landmark_ops.stores.faults import fault_of, is_passing, persist, said
from landmark_ops.stores.zarr_store import open_store
from tests.faulty_proxy import Fault, once

URL = "https://s3.example/bucket"


def answer(code: str, status: int = 400, message: str = "no") -> boto.ClientError:
    return boto.ClientError(
        {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": status}}, "PutObject"
    )


def system(number: int) -> OSError:
    return OSError(number, os.strerror(number))


@pytest.mark.parametrize(
    ("error", "cause", "remedy", "kind"),
    [
        (system(errno.ENOSPC), "No space left on device", "free some space, then run again to resume", RunError),
        (system(errno.EDQUOT), os.strerror(errno.EDQUOT), "free some space", RunError),
        (system(errno.EROFS), "Read-only file system", "choose a place that may be written", RunError),
        (system(errno.EACCES), "Permission denied", "permit it to this user", RunError),
        (system(errno.EMFILE), "Too many open files", "raise `ulimit -n`", RunError),
        (system(errno.EIO), "Input/output error", "check the device", RunError),
        (system(errno.ESTALE), os.strerror(errno.ESTALE), "mount the network file system again", RunError),
        (system(errno.ENOTDIR), "Not a directory", "choose another place", InputError),
        (system(errno.ENAMETOOLONG), "File name too long", "choose a shorter one", InputError),
        (system(errno.ECONNREFUSED), "the connection failed", "check that the server runs", RunError),
        (answer("NoSuchBucket", 404), r"the bucket does not exist \(NoSuchBucket\)", "create it", InputError),
        (answer("InvalidAccessKeyId", 403), "S3 refuses the credentials", "check AWS_ACCESS_KEY_ID", RunError),
        (answer("SignatureDoesNotMatch", 403), "S3 refuses the credentials", "check AWS_ACCESS_KEY_ID", RunError),
        (answer("ExpiredToken"), "the credentials have expired", "renew them", RunError),
        (answer("AccessDenied", 403), "access is denied", "check the AWS_. credentials", RunError),
        (answer("403", 403), "access is denied", "check the AWS_. credentials", RunError),
        (answer("SlowDown", 503), "S3 is too busy", "use fewer workers", RunError),
        (answer("Odd", 503), r"S3 is too busy, .* \(Odd\)", "use fewer workers", RunError),
        (answer("InternalError", 500), "S3 fails", "see what its operator says", RunError),
        (answer("XMinioStorageFull", 507), "the storage is full", "free some space", RunError),
        (answer("PermanentRedirect", 301), "in another region", "set AWS_REGION", RunError),
        (answer("RequestTimeTooSkewed", 403), "clock is wrong", "set it right", RunError),
        (answer("Teapot", 418, "short and stout"), "S3 answers Teapot short and stout", "see there", RunError),
        (boto.NoCredentialsError(), "no AWS credentials are found", "set them: check AWS_ACCESS_KEY_ID", RunError),
        (boto.ProfileNotFound(profile="me"), "the AWS profile does not exist", "correct AWS_PROFILE", InputError),
        (boto.EndpointConnectionError(endpoint_url=URL), "S3 cannot be reached", "check AWS_ENDPOINT_URL", RunError),
        (boto.ConnectTimeoutError(endpoint_url=URL), "S3 cannot be reached", "check AWS_ENDPOINT_URL", RunError),
        (
            boto.ReadTimeoutError(endpoint_url=URL),
            "S3 cannot be reached",
            "check AWS_ENDPOINT_URL, the network",
            RunError,
        ),
        (
            boto.ProxyConnectionError(proxy_url="http://u:hunter22@p"),
            "cannot be reached",
            "check .* its proxies",
            RunError,
        ),
        (
            boto.SSLError(endpoint_url=URL, error="verify failed"),
            "certificate is not accepted",
            "set AWS_CA_",
            RunError,
        ),
        (aiohttp.ClientPayloadError("cut"), "S3 cannot be reached", "check AWS_ENDPOINT_URL", RunError),
        (ssl.SSLCertVerificationError("self-signed"), "certificate is not accepted", "set AWS_CA_BUNDLE", RunError),
        (ValueError("Invalid endpoint: minio"), "AWS_ENDPOINT_URL is no address", "write http://", InputError),
        (
            OSError("Generic S3 error: Error performing PUT: ... <Code>SlowDown</Code> after 10 retries"),
            "S3 is too busy",
            "use fewer",
            RunError,
        ),
        (DeltaError("... error sending request ... connection refused"), "S3 cannot be reached", "check", RunError),
        (OSError("86326 requested and 24560 written"), "No space left on device", "free some", RunError),  # of NumPy
        (DeltaError("No space left on device (os error 28)"), "No space left on device", "free some", RunError),
    ],
)
def test_each_fault_in_one_line(error, cause, remedy, kind):
    for told in (error, wrapped(error), translate_boto_error(error)):
        with pytest.raises(kind, match=rf"^x: .*{cause}.*: {remedy}") as caught, said("x"):
            raise told
        assert "\n" not in str(caught.value)
        assert "hunter22" not in str(caught.value)
        assert len(str(caught.value)) < 420


def wrapped(error: Exception) -> Exception:
    """As a library raises it: another type, from the one that says what it was."""
    try:
        try:
            raise error
        except Exception as inner:
            raise RuntimeError("something failed") from inner
    except RuntimeError as outer:
        return outer


@pytest.mark.parametrize("error", [KeyError("a"), ValueError("no space"), answer("404", 404), RunError("said already")])
def test_other_errors_stay_what_they_are(error):
    assert fault_of(error) is None
    with pytest.raises(type(error)) as caught, said("x"):
        raise error
    assert caught.value is error


def test_missing_files_are_for_the_caller():
    with pytest.raises(FileNotFoundError), said("x"):
        raise FileNotFoundError(errno.ENOENT, "no", "f")


def test_what_may_pass():
    assert is_passing(answer("SlowDown", 503))
    assert is_passing(translate_boto_error(answer("500", 500)))
    assert is_passing(boto.ConnectTimeoutError(endpoint_url=URL))
    for error in (answer("AccessDenied", 403), answer("404", 404), system(errno.ENOSPC), KeyError("a")):
        assert not is_passing(error)


def test_persisting(monkeypatch):
    waits = []
    monkeypatch.setattr("time.sleep", waits.append)
    for failures, kind in (([answer("SlowDown", 503)] * 3, None), ([answer("SlowDown", 503)] * 4, "SlowDown")):
        left = list(failures)

        def act(left=left):
            if left:
                raise left.pop()
            return "done"

        if kind is None:
            assert persist(act) == "done"
            assert len(waits) == 3
            assert all(wait <= 0.5 * 2**at for at, wait in enumerate(waits))
        else:
            with pytest.raises(boto.ClientError, match=kind):
                persist(act)
    calls = []
    with pytest.raises(KeyError):
        persist(lambda: calls.append(1) or {}["a"])
    assert calls == [1]


def test_a_fault_told_on_a_worker_arrives_whole():
    with pytest.raises(RunError) as caught, said("s3://b/x: cannot be written"):
        raise answer("SlowDown", 503)
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may look into any folder")
def test_not_knowing_is_no_no_on_disk(tmp_path):
    (tmp_path / "shut").mkdir(mode=0)
    with pytest.raises(PermissionError):
        locations.is_file(str(tmp_path / "shut" / "x"))


@pytest.mark.s3
@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize(
    ("kind", "method", "message"),
    [("denied", "HEAD", "access is denied"), ("internal", "HEAD", "S3 fails"), ("denied", "GET", "refuses the cred")],
)
def test_not_knowing_is_no_no_on_s3(s3_bucket, s3_proxy, kind: Fault, method, message):
    """fsspec's own isfile takes any failure for "not there": an output would be taken for free."""
    uri = f"{s3_bucket}/x"
    locations.write_bytes(uri, b"1")
    s3_proxy.faults = lambda request: kind if request.method == method and request.key.startswith("/") else None
    with pytest.raises(RunError, match=rf"{uri}: cannot be read: .*{message}"):
        locations.is_file(uri) if method == "HEAD" else locations.read_bytes(uri)


@pytest.mark.s3
@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize("kind", ["slow_down", "internal", "reset", "cut", "lost_reply"])
@pytest.mark.parametrize(("method", "times"), [("PUT", 2), ("GET", 2), ("HEAD", 2)])
def test_passing_faults_pass(s3_bucket, s3_proxy, kind: Fault, method, times):
    uri = f"{s3_bucket}/{kind}-{method}.bin"
    body = os.urandom(1000)
    s3_proxy.faults = once(method, ".bin", kind, times)
    locations.write_bytes(uri, body)
    assert locations.is_file(uri)
    assert locations.read_bytes(uri) == body
    assert locations.read_bytes(uri, 10, 20) == body[10:20]
    assert s3_proxy.spoiled[kind] == times


@pytest.mark.s3
def test_a_revoked_key_ends_at_once(s3_bucket, s3_proxy):
    s3_proxy.faults = lambda request: "denied"
    before = len(s3_proxy.requests)
    with pytest.raises(RunError, match=r"/x: cannot be written: S3 refuses the credentials \(InvalidAccessKeyId\): "):
        locations.write_bytes(f"{s3_bucket}/x", b"1")
    assert len(s3_proxy.requests) == before + 1


def test_zarr_stores_tell_which_object(tmp_path, monkeypatch):
    import zarr

    store = open_store(str(tmp_path / "o.zarr"))
    array = zarr.create_array(store, shape=(4,), chunks=(2,), dtype="f4")

    def refuse(*args, **kwargs):
        raise system(errno.EROFS)

    monkeypatch.setattr("zarr.storage._local._put", refuse)
    monkeypatch.setattr("zarr.storage._local._get", refuse)
    with pytest.raises(RunError, match=r"^output .*/o\.zarr/c/1: cannot be written: Read-only file system: choose"):
        array[2:] = 1
    with pytest.raises(RunError, match=r"^.*/o\.zarr/c/0: cannot be read: Read-only file system"):
        array[:2]
    store = open_store("memory://faults/o.zarr")
    assert store.address == "memory://faults/o.zarr"  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "uri",
    [
        "s3://AKIAEXAMPLE:hunter22@bucket/x.zarr",
        "s3://key@bucket/x.zarr",
        "s3://bucket/x.npy?X-Amz-Signature=hunter22",
        "file://anna:hunter22@/x",
    ],
)
def test_addresses_with_credentials_are_refused(uri):
    """They would be stored in attributes, tables, reports and Prefect's database."""
    with pytest.raises(InputError, match=r"credentials inside an address are not used.*take them out") as caught:
        locations.normalise(uri)
    assert "hunter22" not in str(caught.value)
    assert "AKIAEXAMPLE" not in str(caught.value)
    assert locations.normalise("s3://bucket/a@b/day=1") == "s3://bucket/a@b/day=1"

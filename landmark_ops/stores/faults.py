"""Failures outside the program: errors of the system, S3, TLS and libraries, put into one line of plain words.

`fault_of` looks at an error and at what caused it; their types are recognised by name, so that no library is imported
for it. Errors that it does not know are the program's own, and are left as they are.
"""

from __future__ import annotations

import errno
import random
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple, TypeVar

from landmark_ops.errors import InputError, LandmarkOpsError, RunError
from landmark_ops.wording import one_line

T = TypeVar("T")

TRIES, FIRST_WAIT = 4, 0.5  # of `persist`; seconds
RESUME = "then run again to resume"


class Fault(NamedTuple):
    """What is the matter, and what a person can do about it.

    `passing`: it may be gone in a moment, so another try is worth while. `mistake`: the config names what cannot be.
    """

    cause: str
    remedy: str
    passing: bool = False
    mistake: bool = False

    def error(self, where: str) -> InputError | RunError:
        """The one line: `where` says which address, and what was tried with it."""
        return (InputError if self.mistake else RunError)(f"{where}: {self.cause}: {self.remedy}")


_KEYS = "check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN, or the AWS profile"
_CREDENTIALS = Fault("S3 refuses the credentials", f"{_KEYS}, {RESUME}")
_EXPIRED = Fault("the credentials have expired", f"renew them, {RESUME}")
_DENIED = Fault("access is denied", f"check the AWS_* credentials, and what they may do there, {RESUME}")
_BUSY = Fault("S3 is too busy, and stayed so at every try", f"use fewer workers, or wait, {RESUME}", passing=True)
_FAILING = Fault("S3 fails, and did so at every try", f"see what its operator says, {RESUME}", passing=True)
_FULL = Fault("the storage is full", f"free some space, {RESUME}")
_REGION = Fault("the bucket is in another region", "set AWS_REGION to the bucket's region, and AWS_ENDPOINT_URL if any")
_NO_BUCKET = Fault("the bucket does not exist", "create it, or correct the address or AWS_ENDPOINT_URL", mistake=True)
_NO_CREDENTIALS = Fault("no AWS credentials are found", f"set them: {_KEYS}")
_UNREACHABLE = Fault(
    "S3 cannot be reached", f"check AWS_ENDPOINT_URL, the network and its proxies, {RESUME}", passing=True
)
_TLS = Fault(
    "the server's TLS certificate is not accepted",
    "set AWS_CA_BUNDLE and SSL_CERT_FILE to its authority's certificate, or correct http or https in AWS_ENDPOINT_URL",
)
_NO_ENDPOINT = Fault("AWS_ENDPOINT_URL is no address", "write http://host:port or https://host", mistake=True)
_NOT_S3 = Fault("what answers is not S3", "check AWS_ENDPOINT_URL and its port", mistake=True)

_BY_CODE: dict[str, Fault] = {
    **dict.fromkeys(("InvalidAccessKeyId", "SignatureDoesNotMatch", "AuthFailure", "InvalidSecurity"), _CREDENTIALS),
    **dict.fromkeys(("ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired", "InvalidToken"), _EXPIRED),
    **dict.fromkeys(("AccessDenied", "AllAccessDisabled", "AccountProblem", "403", "Forbidden", "401"), _DENIED),
    **dict.fromkeys(
        ("SlowDown", "503", "429", "ServiceUnavailable", "Throttling", "ThrottlingException", "RequestLimitExceeded"),
        _BUSY,
    ),
    **dict.fromkeys(
        ("InternalError", "500", "502", "504", "BadGateway", "GatewayTimeout", "RequestTimeout", "OperationAborted"),
        _FAILING,
    ),
    **dict.fromkeys(("QuotaExceeded", "XMinioStorageFull", "InsufficientStorage", "507", "NoSpaceLeft"), _FULL),
    **dict.fromkeys(
        ("PermanentRedirect", "301", "307", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException"),
        _REGION,
    ),
    **dict.fromkeys(
        ("501", "NotImplemented", "405", "MethodNotAllowed"),
        Fault("the server does not know this request", "check AWS_ENDPOINT_URL: what answers there may be no S3"),
    ),
    "NoSuchBucket": _NO_BUCKET,
    "InvalidBucketName": Fault("this is no name of a bucket", "correct the address", mistake=True),
    "RequestTimeTooSkewed": Fault("this machine's clock is wrong", f"set it right (ntp), {RESUME}"),
}
_BY_TYPE: dict[str, Fault] = {  # names of botocore's, aiobotocore's and aiohttp's exceptions
    **dict.fromkeys(("NoCredentialsError", "PartialCredentialsError"), _NO_CREDENTIALS),
    **dict.fromkeys(
        ("CredentialRetrievalError", "TokenRetrievalError", "SSOTokenLoadError", "UnauthorizedSSOTokenError"), _EXPIRED
    ),
    "ProfileNotFound": Fault("the AWS profile does not exist", "correct AWS_PROFILE, or create it", mistake=True),
    "NoRegionError": Fault("no AWS region is set", "set AWS_REGION", mistake=True),
    **dict.fromkeys(
        ("SSLError", "ClientConnectorCertificateError", "ClientConnectorSSLError", "SSLCertVerificationError"), _TLS
    ),
    "ResponseParserError": _NOT_S3,
    **dict.fromkeys(
        (
            "EndpointConnectionError",
            "ConnectTimeoutError",
            "ReadTimeoutError",
            "ConnectionClosedError",
            "ConnectionError",
            "ProxyConnectionError",
            "HTTPClientError",
            "IncompleteReadError",
            "ResponseStreamingError",
            "ClientConnectorError",
            "ClientConnectorDNSError",
            "ClientOSError",
            "ClientPayloadError",
            "ServerDisconnectedError",
            "ServerTimeoutError",
            "FSTimeoutError",
        ),
        _UNREACHABLE,
    ),
}
_BY_ERRNO: dict[int, Fault] = {  # the cause is the system's message
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT), Fault("No space left on device", f"free some space, {RESUME}")),
    errno.EROFS: Fault("Read-only file system", f"choose a place that may be written, or remount it, {RESUME}"),
    **dict.fromkeys((errno.EACCES, errno.EPERM), Fault("Permission denied", f"permit it to this user, {RESUME}")),
    **dict.fromkeys((errno.EMFILE, errno.ENFILE), Fault("Too many open files", f"raise `ulimit -n`, {RESUME}")),
    **dict.fromkeys((errno.EIO, errno.EREMOTEIO), Fault("Input/output error", f"check the device or server, {RESUME}")),
    errno.ESTALE: Fault("Stale file handle", f"mount the network file system again, {RESUME}"),
    errno.EFBIG: Fault("File too large", f"raise the limit of the file system or of `ulimit -f`, {RESUME}"),
    errno.ENAMETOOLONG: Fault("File name too long", "choose a shorter one", mistake=True),
    errno.ENOTDIR: Fault("Not a directory", "choose another place, or move the file away", mistake=True),
    errno.EISDIR: Fault("Is a directory", "choose another place, or move it away", mistake=True),
    errno.ELOOP: Fault("Too many levels of symbolic links", "correct the links", mistake=True),
    errno.ENOLCK: Fault("No locks available", "choose a place on another file system, or mount it with locks"),
    errno.EBUSY: _BUSY._replace(cause="the device or server is busy, and stayed so at every try"),
    **dict.fromkeys(
        (errno.ECONNREFUSED, errno.ECONNRESET, errno.ETIMEDOUT, errno.EHOSTUNREACH, errno.ENETUNREACH),
        Fault("the connection failed", f"check that the server runs and can be reached, {RESUME}", passing=True),
    ),
}
# Recognised by text alone: object_store inside deltalake and pyarrow raises one type for everything.
_BY_TEXT: tuple[tuple[re.Pattern[str], Fault], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE), fault)
    for pattern, fault in (
        (r"no space left on device|disk quota exceeded|\d+ requested and \d+ written", _BY_ERRNO[errno.ENOSPC]),
        (r"read-only file system", _BY_ERRNO[errno.EROFS]),
        (r"NoSuchBucket", _NO_BUCKET),
        (r"InvalidAccessKeyId|SignatureDoesNotMatch", _CREDENTIALS),
        (r"ExpiredToken|token (has|is) expired", _EXPIRED),
        (r"AccessDenied|403 Forbidden|permission denied|lacked the required permissions", _DENIED),
        (r"SlowDown|503 Service|429 Too Many", _BUSY),
        (r"certificate|invalid peer|tls handshake", _TLS),
        (r"RequestTimeTooSkewed", _BY_CODE["RequestTimeTooSkewed"]),
        (r"500 Internal|502 Bad Gateway|504 Gateway", _FAILING),
        (
            r"error sending request|connection (refused|reset|closed)|dns error|operation timed out|"
            r"error (reading a|decoding response) body|end of file before message|Generic S3 error: .*retries",
            _UNREACHABLE,
        ),
        (r"Too many open files", _BY_ERRNO[errno.EMFILE]),
        (r"Invalid endpoint|relative URL without a base", _NO_ENDPOINT),
    )
)
_CLIENTS = ("botocore", "aiobotocore", "aiohttp", "fsspec", "urllib3", "ssl")


def fault_of(error: BaseException) -> Fault | None:
    """The cause outside the program; None where the error is not a known one, or has been reported already."""
    if isinstance(error, LandmarkOpsError):
        return None
    errors = list(chain(error))
    for one in errors:  # an answer of S3 says most, other libraries' errors come next
        if (fault := _of_answer(one)) is not None:
            return fault
    for one in errors:
        if (fault := _of_type(one) or _of_number(one)) is not None:
            return fault
    for one in errors:
        if isinstance(one, OSError | ValueError) or type(one).__module__.startswith(
            ("deltalake", "pyarrow", "_internal")
        ):
            for pattern, fault in _BY_TEXT:
                if pattern.search(str(one)[:5000]):
                    return fault
    return None


def is_passing(error: BaseException) -> bool:
    """Whether a request that failed so is worth another try."""
    fault = fault_of(error)
    return fault is not None and fault.passing


def storage_failed(error: BaseException) -> bool:
    """Whether storage failed, not the content, so that another read may succeed.

    Decoders raise OSError for damaged content too, gzip and pyarrow among them: without a number, or with EINVAL where
    the content leads to an offset that no file has.
    """
    if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):
        return True
    return type(error).__module__.partition(".")[0].startswith(_CLIENTS) or fault_of(error) is not None


def persist(action: Callable[[], T]) -> T:
    """The result of `action`, retried after failures that may pass; for libraries that give up too early.

    Waits are drawn from a range that doubles: clients that failed together do not come back together.
    """
    for attempt in range(TRIES):
        try:
            return action()
        except Exception as error:
            if attempt == TRIES - 1 or not is_passing(error):
                raise
        time.sleep(random.uniform(0, FIRST_WAIT * 2**attempt))
    raise AssertionError("unreachable")


@contextmanager
def said(where: str) -> Iterator[None]:
    """Errors from outside become the one line that begins with `where`; FileNotFoundError and others pass."""
    try:
        yield
    except Exception as error:
        if isinstance(error, FileNotFoundError) and code_of(error) != "NoSuchBucket":
            raise
        if (fault := fault_of(error)) is None:
            raise
        raise fault.error(where) from error


def chain(error: BaseException) -> Iterator[BaseException]:
    """The error, what it was raised from, and the members of groups; outermost first, each once."""
    seen: set[int] = set()
    waiting: list[BaseException | None] = [error]
    while waiting:
        one = waiting.pop(0)
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        if isinstance(one, BaseExceptionGroup):
            waiting += one.exceptions
        waiting.append(one.__cause__ or (None if one.__suppress_context__ else one.__context__))


def code_of(error: BaseException) -> str | None:
    """The code in an answer of S3, wherever in the chain it is."""
    for one in chain(error):
        response = getattr(one, "response", None)
        if isinstance(response, Mapping) and isinstance(response.get("Error"), Mapping):
            return str(response["Error"].get("Code", ""))
    return None


def _of_answer(error: BaseException) -> Fault | None:
    response: Any = getattr(error, "response", None)
    if not isinstance(response, Mapping) or not isinstance(response.get("Error"), Mapping):
        return None
    code = str(response["Error"].get("Code", ""))
    if code in ("404", "NoSuchKey", "PreconditionFailed", "412"):
        return None  # not a fault: callers handle these answers
    status = str(response.get("ResponseMetadata", {}).get("HTTPStatusCode", ""))
    fault = _BY_CODE.get(code) or _BY_CODE.get(status)
    if fault is None:
        return Fault(
            f"S3 answers {one_line(code, 60)} {one_line(response['Error'].get('Message', ''), 200)}", "see there"
        )
    named = code and not code.isdigit()
    return fault._replace(cause=f"{fault.cause} ({one_line(code, 60)})") if named else fault


def _of_type(error: BaseException) -> Fault | None:
    if not type(error).__module__.partition(".")[0].startswith(_CLIENTS):
        return None
    for kind in type(error).__mro__:
        if (fault := _BY_TYPE.get(kind.__name__)) is not None and kind.__module__ != "builtins":
            return fault._replace(cause=_with_detail(fault.cause, error))
    return None


def _of_number(error: BaseException) -> Fault | None:
    if not isinstance(error, OSError):
        return None
    fault = _BY_ERRNO.get(error.errno or 0)
    if fault is None and isinstance(error, PermissionError):  # of s3fs: without a number
        return _DENIED
    if fault is None and isinstance(error, TimeoutError):
        return _UNREACHABLE
    if fault is None:
        return None
    if fault.passing:
        return fault._replace(cause=_with_detail(fault.cause, error))
    return fault._replace(cause=one_line(error.strerror or fault.cause, 160))


def _with_detail(cause: str, error: BaseException) -> str:
    detail = one_line(error, 160)
    return f"{cause} ({detail})" if detail else cause

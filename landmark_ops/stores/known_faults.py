"""The faults of systems outside the program that are known, and how each shows: S3's codes, types, numbers, texts.

A new one is a row here; libraries are told by the names of their types, so that nothing is imported.
"""

from __future__ import annotations

import errno
import re
from typing import NamedTuple

from landmark_ops.errors import InputError, RunError

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
DENIED = Fault("access is denied", f"check the AWS_* credentials, and what they may do there, {RESUME}")
_BUSY = Fault("S3 is too busy, and stayed so at every try", f"use fewer workers, or wait, {RESUME}", passing=True)
_FAILING = Fault("S3 fails, and did so at every try", f"see what its operator says, {RESUME}", passing=True)
_FULL = Fault("the storage is full", f"free some space, {RESUME}")
_REGION = Fault("the bucket is in another region", "set AWS_REGION to the bucket's region, and AWS_ENDPOINT_URL if any")
_NO_BUCKET = Fault("the bucket does not exist", "create it, or correct the address or AWS_ENDPOINT_URL", mistake=True)
_NO_CREDENTIALS = Fault("no AWS credentials are found", f"set them: {_KEYS}")
UNREACHABLE = Fault(
    "S3 cannot be reached", f"check AWS_ENDPOINT_URL, the network and its proxies, {RESUME}", passing=True
)
_TLS = Fault(
    "the server's TLS certificate is not accepted",
    "set AWS_CA_BUNDLE and SSL_CERT_FILE to its authority's certificate, or correct http or https in AWS_ENDPOINT_URL",
)
_NO_ENDPOINT = Fault("AWS_ENDPOINT_URL is no address", "write http://host:port or https://host", mistake=True)
_NOT_S3 = Fault("what answers is not S3", "check AWS_ENDPOINT_URL and its port", mistake=True)

BY_CODE: dict[str, Fault] = {
    **dict.fromkeys(("InvalidAccessKeyId", "SignatureDoesNotMatch", "AuthFailure", "InvalidSecurity"), _CREDENTIALS),
    **dict.fromkeys(("ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired", "InvalidToken"), _EXPIRED),
    **dict.fromkeys(("AccessDenied", "AllAccessDisabled", "AccountProblem", "403", "Forbidden", "401"), DENIED),
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
BY_TYPE: dict[str, Fault] = {  # names of botocore's, aiobotocore's and aiohttp's exceptions
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
        UNREACHABLE,
    ),
}
BY_ERRNO: dict[int, Fault] = {  # the cause is the system's message
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
BY_TEXT: tuple[tuple[re.Pattern[str], Fault], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE), fault)
    for pattern, fault in (
        (r"no space left on device|disk quota exceeded|\d+ requested and \d+ written", BY_ERRNO[errno.ENOSPC]),
        (r"read-only file system", BY_ERRNO[errno.EROFS]),
        (r"NoSuchBucket", _NO_BUCKET),
        (r"InvalidAccessKeyId|SignatureDoesNotMatch", _CREDENTIALS),
        (r"ExpiredToken|token (has|is) expired", _EXPIRED),
        (r"AccessDenied|403 Forbidden|permission denied|lacked the required permissions", DENIED),
        (r"SlowDown|503 Service|429 Too Many", _BUSY),
        (r"certificate|invalid peer|tls handshake", _TLS),
        (r"RequestTimeTooSkewed", BY_CODE["RequestTimeTooSkewed"]),
        (r"500 Internal|502 Bad Gateway|504 Gateway", _FAILING),
        (
            r"error sending request|connection (refused|reset|closed)|dns error|operation timed out|"
            r"error (reading a|decoding response) body|end of file before message|Generic S3 error: .*retries",
            UNREACHABLE,
        ),
        (r"Too many open files", BY_ERRNO[errno.EMFILE]),
        (r"Invalid endpoint|relative URL without a base", _NO_ENDPOINT),
    )
)

"""Failures outside the program: errors of the system, S3, TLS and libraries, put into one line of plain words.

`fault_of` looks at an error and at what caused it; their types are recognised by name, so that no library is imported
for it. Errors that it does not know are the program's own, and are left as they are.
"""

from __future__ import annotations

import errno
import random
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

from landmark_ops.errors import LandmarkOpsError
from landmark_ops.stores.known_faults import BY_CODE, BY_ERRNO, BY_TEXT, BY_TYPE, DENIED, UNREACHABLE, Fault
from landmark_ops.wording import one_line

T = TypeVar("T")

TRIES, FIRST_WAIT = 4, 0.5  # of `persist`; seconds
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
            for pattern, fault in BY_TEXT:
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
    fault = BY_CODE.get(code) or BY_CODE.get(status)
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
        if (fault := BY_TYPE.get(kind.__name__)) is not None and kind.__module__ != "builtins":
            return fault._replace(cause=_with_detail(fault.cause, error))
    return None


def _of_number(error: BaseException) -> Fault | None:
    if not isinstance(error, OSError):
        return None
    fault = BY_ERRNO.get(error.errno or 0)
    if fault is None and isinstance(error, PermissionError):  # of s3fs: without a number
        return DENIED
    if fault is None and isinstance(error, TimeoutError):
        return UNREACHABLE
    if fault is None:
        return None
    if fault.passing:
        return fault._replace(cause=_with_detail(fault.cause, error))
    return fault._replace(cause=one_line(error.strerror or fault.cause, 160))


def _with_detail(cause: str, error: BaseException) -> str:
    detail = one_line(error, 160)
    return f"{cause} ({detail})" if detail else cause

"""Read an https address in blocks, certificates checked, with a few tries. Knows nothing of models."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, TypeVar

from landmark_ops.errors import InputError, RunError

if TYPE_CHECKING:
    import httpx

TIMEOUT_SECONDS = 30.0
RETRY_WAITS = (1.0, 4.0)  # seconds before the second and third try
TRANSIENT = frozenset({408, 425, 429, 500, 502, 503, 504})
BLOCK_BYTES = 2**18

T = TypeVar("T")


class _FinalError(RunError):
    """An error that another try would repeat."""


def https_blocks(url: str, receive: Callable[[Iterator[bytes]], T]) -> T:
    """The result of `receive` on the bytes at `url`; it is called anew for every try.

    Lost connections, early ends (a RunError of `receive`) and a busy server are tried again. Raises RunError naming
    the address and the last cause, InputError for addresses and redirects that are not https.
    """
    if not url.startswith("https://"):
        raise InputError(f"{url}: only https:// addresses are fetched")
    for wait in RETRY_WAITS:
        try:
            return _try(url, receive)
        except _FinalError:
            raise
        except RunError:
            time.sleep(wait)
    return _try(url, receive)


def _try(url: str, receive: Callable[[Iterator[bytes]], T]) -> T:
    import httpx  # here, since it takes a tenth of a second and a model is fetched once

    try:
        with _client() as client, client.stream("GET", url) as answer:
            if answer.is_success:
                return receive(_blocks(answer))
            kind = RunError if answer.status_code in TRANSIENT else _FinalError
            raise kind(f"{url} answers {answer.status_code} {answer.reason_phrase}")
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        kind = _FinalError if "CERTIFICATE_VERIFY_FAILED" in str(error) else RunError
        raise kind(f"{url} cannot be read: {str(error) or type(error).__name__}") from error


def _client() -> httpx.Client:
    """https and the proxies of the environment, with the certificates that OpenSSL and `SSL_CERT_FILE` name."""
    import httpx

    return httpx.Client(
        verify=ssl.create_default_context(),
        timeout=TIMEOUT_SECONDS,
        headers={"User-Agent": "landmark-ops", "Accept-Encoding": "identity"},
        follow_redirects=True,
        event_hooks={"response": [_stay_with_tls]},
    )


def _stay_with_tls(answer: httpx.Response) -> None:
    """Redirects are followed to https addresses only."""
    if answer.has_redirect_location:
        target = answer.url.join(answer.headers["location"])
        if target.scheme != "https":
            raise InputError(f"{answer.url}: redirects to {target}: only https:// is followed")


def _blocks(answer: httpx.Response) -> Iterator[bytes]:
    """The body as it is sent; where the connection ends early, what came until then: `receive` counts."""
    import httpx

    try:
        yield from answer.iter_raw(BLOCK_BYTES)
    except httpx.RemoteProtocolError:
        return

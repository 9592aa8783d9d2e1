"""Read an https address in blocks, certificates checked, with a few tries. Knows nothing of models."""

from __future__ import annotations

import http.client
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from typing import IO, TypeVar

from landmark_ops.errors import InputError, RunError

TIMEOUT_SECONDS = 30.0
RETRY_WAITS = (1.0, 4.0)  # seconds before the second and third try
TRANSIENT = frozenset({408, 425, 429, 500, 502, 503, 504})
BLOCK_BYTES = 2**18

T = TypeVar("T")


class _TlsRedirects(urllib.request.HTTPRedirectHandler):
    """Redirects are followed to https addresses only."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        if not newurl.startswith("https://"):
            fp.close()
            raise InputError(f"{req.full_url}: redirects to {newurl}: only https:// is followed")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def https_blocks(url: str, receive: Callable[[Iterator[bytes]], T]) -> T:
    """What `receive` makes of the bytes at `url`; called anew for every try.

    Lost connections, early ends (a RunError of `receive`) and a busy server are tried again. Raises RunError naming
    the address and the last cause, InputError for addresses and redirects that are not https.
    """
    if not url.startswith("https://"):
        raise InputError(f"{url}: only https:// addresses are fetched")
    for wait in (*RETRY_WAITS, None):
        try:
            with _opener().open(_request(url), timeout=TIMEOUT_SECONDS) as answer:
                return receive(iter(lambda: answer.read(BLOCK_BYTES), b""))
        except urllib.error.HTTPError as error:
            error.close()
            cause: Exception = RunError(f"{url} answers {error.code} {error.reason}")
            if error.code not in TRANSIENT:
                raise cause from error
        except (OSError, http.client.HTTPException) as error:
            reason = getattr(error, "reason", None) or error
            cause = RunError(f"{url} cannot be read: {reason}")
            if isinstance(reason, ssl.SSLCertVerificationError):
                raise cause from error
        except RunError as error:
            cause = error
        if wait is not None:
            time.sleep(wait)
    raise cause


def _request(url: str) -> urllib.request.Request:
    return urllib.request.Request(url, headers={"User-Agent": "landmark-ops", "Accept-Encoding": "identity"})


def _opener() -> urllib.request.OpenerDirector:
    """https and the proxies of the environment; no file:, ftp: or http: handler is there to be redirected to."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPSHandler(context=ssl.create_default_context()),
        _TlsRedirects(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        urllib.request.UnknownHandler(),
    ):
        opener.add_handler(handler)
    return opener

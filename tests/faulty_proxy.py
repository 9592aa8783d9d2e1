"""An HTTP proxy on loopback that spoils some of the requests passing through it: the network of a bad day.

Point AWS_ENDPOINT_URL at `proxy.url` instead of the mock S3 and say which requests go wrong:

    proxy.faults = at_random(0.05)                      # one in twenty, of all kinds, the same ones in every run
    proxy.faults = once("PUT", ".lock", "lost_reply")   # the first PUT of a key that ends so
    proxy.faults = lambda request: "denied" if request.number > 40 else None

What happens to a request depends on what it asks for and how often it was asked, not on when it comes: concurrent
runs meet the same faults.
"""

from __future__ import annotations

import hashlib
import http.client
import socket
import struct
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal, NamedTuple
from urllib.parse import urlsplit

Fault = Literal[
    "slow_down",  # 503, as S3 answers who asks too often
    "internal",  # 500
    "denied",  # 403, as after a key was revoked
    "expired",  # 400 ExpiredToken
    "reset",  # the connection is reset before the request arrives
    "cut",  # half of the reply's body, then the end of the connection
    "lost_reply",  # done by the server, never answered
]
PASSING: tuple[Fault, ...] = ("slow_down", "reset", "cut", "lost_reply")
_ERRORS = {
    "slow_down": (503, "SlowDown", "Please reduce your request rate."),
    "internal": (500, "InternalError", "We encountered an internal error. Please try again."),
    "denied": (403, "InvalidAccessKeyId", "The AWS Access Key Id you provided does not exist in our records."),
    "expired": (400, "ExpiredToken", "The provided token has expired."),
}


class Request(NamedTuple):
    """A request on its way: `number` counts all of them from 1, `attempt` those that ask the same, from 1."""

    method: str
    path: str  # with its query
    number: int
    attempt: int

    @property
    def key(self) -> str:
        """The path without its query: /bucket/key."""
        return self.path.partition("?")[0]


Faults = Callable[[Request], Fault | None]


def at_random(share: float, seed: int = 0, kinds: Sequence[Fault] = PASSING) -> Faults:
    """Spoil about `share` of all requests, by one of `kinds` each."""

    def decide(request: Request) -> Fault | None:
        text = f"{seed} {request.method} {request.path} {request.attempt}"
        drawn = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8])
        return kinds[drawn % len(kinds)] if drawn / 2**64 < share else None

    return decide


def once(method: str, ending: str, kind: Fault, times: int = 1) -> Faults:
    """Spoil the first `times` requests of a method for keys that end with `ending`."""
    seen = Counter[str]()
    lock = threading.Lock()

    def decide(request: Request) -> Fault | None:
        if request.method != method or not request.key.endswith(ending):
            return None
        with lock:
            seen["hit"] += 1
            return kind if seen["hit"] <= times else None

    return decide


class FaultyProxy:
    """Forwards to `upstream`; `faults` may be set anew at any time, `spoiled` counts what it did, by kind."""

    def __init__(self, upstream: str) -> None:
        self.upstream = urlsplit(upstream)
        self.faults: Faults = lambda request: None
        self.spoiled: Counter[str] = Counter()
        self.requests: list[Request] = []
        self._attempts: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._server = _Server(("127.0.0.1", 0), _handler(self))
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self) -> None:
        """Stop listening and hang up: clients are refused from now on, and no thread waits for them."""
        self._server.shutdown()
        self._server.server_close()
        self._server.hang_up()

    def decide(self, method: str, path: str, span: str) -> Fault | None:
        """Count a request (`span`: its byte range) and say what shall happen to it."""
        with self._lock:
            self._attempts[f"{method} {path} {span}"] += 1
            request = Request(method, path, len(self.requests) + 1, self._attempts[f"{method} {path} {span}"])
            self.requests.append(request)
        fault = self.faults(request)
        if fault is not None:
            with self._lock:
                self.spoiled[fault] += 1
        return fault


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.open: set[Any] = set()

    def process_request(self, request: Any, client_address: Any) -> None:
        """Remember the connection for as long as its thread lives."""
        self.open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """Forget it."""
        self.open.discard(request)
        super().shutdown_request(request)

    def hang_up(self) -> None:
        """End connections that clients keep for later."""
        for request in list(self.open):
            with suppress(OSError):
                request.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that hang up are no news here."""


def _handler(proxy: FaultyProxy) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = 1 << 16  # one packet for headers and body

        def setup(self) -> None:
            super().setup()
            self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.onward = http.client.HTTPConnection(proxy.upstream.hostname or "", proxy.upstream.port, timeout=60)

        def handle_expect_100(self) -> bool:
            self.send_response_only(100)
            self.end_headers()
            self.wfile.flush()  # the client waits for it
            return True

        def finish(self) -> None:
            self.onward.close()
            super().finish()

        def forward(self) -> None:
            body = self._body()
            fault = proxy.decide(self.command, self.path, self.headers.get("Range", ""))
            if fault == "reset":
                self._hang_up()
                return
            if fault in _ERRORS:
                self._refuse(*_ERRORS[fault])
                return
            headers = {k: v for k, v in self.headers.items() if k.lower() not in ("transfer-encoding", "expect")}
            if body or self.command in ("PUT", "POST"):
                headers["Content-Length"] = str(len(body))
            self.onward.request(self.command, self.path, body, headers)
            reply = self.onward.getresponse()
            content = reply.read()
            if fault == "lost_reply" or (fault == "cut" and len(content) < 2):
                self._hang_up()
                return
            self.send_response_only(reply.status, reply.reason)
            for name, value in reply.getheaders():
                if name.lower() not in ("transfer-encoding", "content-length", "connection"):
                    self.send_header(name, value)
            size = reply.getheader("Content-Length") if self.command == "HEAD" else str(len(content))
            self.send_header("Content-Length", size or "0")
            self.end_headers()
            if fault == "cut":
                self.wfile.write(content[: len(content) // 2])
                self.wfile.flush()
                self.close_connection = True
                return
            self.wfile.write(content)

        do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = forward

        def _body(self) -> bytes:
            if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
                return self.rfile.read(int(self.headers.get("Content-Length", 0)))
            parts = []
            while size := int(self.rfile.readline().split(b";")[0], 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(parts)

        def _refuse(self, status: int, code: str, message: str) -> None:
            content = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>{message}</Message></Error>".encode()
            self.send_response_only(status)
            self.send_header("Content-Type", "application/xml")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

        def _hang_up(self) -> None:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.close_connection = True
            self.connection.close()

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    return Handler


@contextmanager
def faulty_proxy(upstream: str) -> Iterator[FaultyProxy]:
    """A proxy before `upstream` for the time of the context."""
    proxy = FaultyProxy(upstream)
    try:
        yield proxy
    finally:
        proxy.close()

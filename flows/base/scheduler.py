"""Check whether a Dask scheduler answers at an address: within seconds, and one line if it does not.

Dask's own client waits twenty seconds for an absent scheduler, and forty more when closed before it is connected.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
from typing import Any

from landmark_ops.errors import InputError, RunError
from landmark_ops.wording import has_secret, one_line

SECONDS = 10.0  # for a connection
_CERTIFICATES = (
    "name them in Dask's configuration: distributed.comm.tls.ca-file, .client.cert and .client.key, or "
    "DASK_DISTRIBUTED__COMM__TLS__CA_FILE, …__CLIENT__CERT and …__CLIENT__KEY"
)


def knock(address: str) -> None:
    """RunError where no scheduler answers at `cluster.address`, or TLS fails; InputError for a malformed address."""
    from distributed.comm.addressing import parse_address, parse_host_port
    from distributed.security import Security

    logging.getLogger("tornado.application").setLevel(logging.CRITICAL)  # logs fifty lines where we report one
    where = f"cluster.address {address}"
    if has_secret(address):
        raise InputError(f"{where}: a scheduler takes no user and password: write tls://host:port")
    try:
        scheme, place = parse_address(address)
        if scheme != "inproc":
            parse_host_port(place)
    except ValueError as error:
        raise InputError(f"{where}: is no address ({one_line(error, 160)}): write tls://host:port") from error
    try:
        options = Security().get_connection_args("client")
    except OSError as error:
        raise RunError(f"{where}: the certificates cannot be read ({one_line(error, 160)}): {_CERTIFICATES}") from error
    if scheme == "tls" and options.get("ssl_context") is None:
        raise RunError(f"{where}: tls:// needs certificates, and none are configured: {_CERTIFICATES}")
    answer = _Call(address, options)
    answer.start()
    answer.join(SECONDS + 1)
    if answer.is_alive() or answer.error is not None:
        failure = answer.error or TimeoutError("what answers is no scheduler")
        cause = one_line(failure.__cause__ or failure, 200) or ask(place) or type(failure).__name__
        raise RunError(
            f"{where}: no scheduler answers there ({cause}): check that it runs and can be reached, with tls:// where "
            "it uses TLS, and with certificates of one authority on both sides"
        ) from failure


def ask(place: str) -> str:
    """The system's error on connecting to host:port, "" if it connects.

    Dask reports its last try only, which its deadline may have cut short before the cause was known.
    """
    from distributed.comm.addressing import parse_host_port

    try:
        socket.create_connection(parse_host_port(place), timeout=1).close()
    except OSError as error:
        return one_line(error, 200)
    return ""


class _Call(threading.Thread):
    """One connection, made and dropped, on a thread that may be abandoned: another program's answer can block Dask."""

    def __init__(self, address: str, options: dict[str, Any]) -> None:
        super().__init__(daemon=True)
        self.address, self.options = address, options
        self.error: BaseException | None = None

    def run(self) -> None:
        from distributed.comm.core import connect

        async def call() -> None:
            comm = await connect(self.address, timeout=SECONDS, **self.options)
            comm.abort()

        try:
            asyncio.run(call())
        except Exception as error:  # each transport of Dask has its own types
            self.error = error

"""Calls to this machine go there, whatever proxy the environment names: to our Prefect server, Dask, a local S3."""

from __future__ import annotations

import os

LOOPBACK = ("127.0.0.1", "localhost", "::1")


def spare_loopback() -> None:
    """Add this machine to NO_PROXY, which every client we use obeys; what is there stays. Children inherit it."""
    if not any(name.lower().endswith("_proxy") for name in os.environ):
        return
    given = [os.environ.get(name, "") for name in ("NO_PROXY", "no_proxy")]
    hosts = [host.strip() for host in ",".join(given).split(",") if host.strip()]
    if "*" not in hosts:
        hosts = list(dict.fromkeys([*hosts, *LOOPBACK]))
        os.environ["NO_PROXY"] = os.environ["no_proxy"] = ",".join(hosts)
    drop_unknown_proxies()


def drop_unknown_proxies() -> None:
    """Unset proxies of a kind that httpx cannot use: it would refuse every call, also to hosts that need none.

    ALL_PROXY=socks://… is what some desktops set; of the clients we use, httpx alone looks at it.
    """
    for name in ("ALL_PROXY", "all_proxy"):
        scheme = os.environ.get(name, "").partition("://")[0].lower()
        if scheme and scheme not in ("http", "https") and not _has_socks(scheme):
            del os.environ[name]


def _has_socks(scheme: str) -> bool:
    from importlib.util import find_spec

    return scheme in ("socks5", "socks5h") and find_spec("socksio") is not None

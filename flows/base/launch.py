"""Start a run from a command line: check first, start the Prefect server beside the imports, then call the flow."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from functools import wraps
from typing import TYPE_CHECKING, Any, TypeVar

from flows.base.prefect_server import PrefectServer, quiet_server
from flows.base.progress import Mode, Progress, make_progress

if TYPE_CHECKING:
    from prefect import Flow

C = TypeVar("C")
R = TypeVar("R")


def launch(
    config: C | Callable[[], C],
    prepare: Callable[[C, Progress], Callable[[], dict[str, Any]]],
    mode: Mode,
) -> dict[str, Any]:
    """Run the flow that `prepare` returns for a config, or for the one that `config` reads.

    The temporary Prefect server needs seconds to come up: it starts first. Meanwhile the config is read, which imports
    what it names, and `prepare` checks source and output and imports the heavy modules. A mistake is answered without
    waiting for the server.
    """
    server = PrefectServer()
    server.start()
    try:
        settings = config() if callable(config) else config
        progress = make_progress(mode)
        try:
            with progress.stage("open"):
                run = prepare(settings, progress)
                server.wait()
            with quiet_server(server):
                return run()
        finally:
            progress.close()
    finally:
        server.stop()


def followed(flow: Flow[[C], R], body: Callable[[C], R]) -> Flow[[C], R]:
    """`flow` with `body` as its function, and all else that Prefect knows of it unchanged.

    So the command line can hand a run its progress display and inputs that are open already.
    """

    @wraps(flow.fn)
    def run(config: C) -> R:
        return body(config)

    mine = copy(flow)
    mine.fn = run
    return mine

"""A temporary Prefect server that dies with the run that started it: `python -m flows.base.server PORT [HOME]`.

Prefect's own ephemeral server is started only once the flow is called, and outlives a run that is killed. This one
starts while the run still imports and opens its source, ignores the terminal's Ctrl-C, and goes with its parent, and
HOME, where its database is, goes with it.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import sys

PR_SET_PDEATHSIG = 1  # linux/prctl.h


def die_with_parent() -> None:
    """Ask the kernel for SIGTERM when the parent is gone, however it went. Linux only; elsewhere nothing happens."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() == 1:
            sys.exit(0)


def main() -> None:
    """Serve the Prefect API on loopback at the given port, quietly, until terminated."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # uvicorn raises it again once it has shut down
    die_with_parent()
    port, *home = sys.argv[1:]
    try:
        serve(int(port))
    finally:
        for folder in home:
            shutil.rmtree(folder, ignore_errors=True)
        os._exit(0)  # Python would take another second to tidy up, while the run waits


def serve(port: int) -> None:
    """Serve until SIGTERM."""
    import uvicorn

    uvicorn.run(
        "prefect.server.api.server:create_app",
        factory=True,
        host="127.0.0.1",
        port=port,
        log_level="critical",
        lifespan="on",
    )


if __name__ == "__main__":
    main()

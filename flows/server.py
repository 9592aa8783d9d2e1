"""A temporary Prefect server that dies with the run that started it: `python -m flows.server PORT`.

Prefect's own ephemeral server is started only once the flow is called, and outlives a run that is killed. This one
starts while the run still imports and opens its source, ignores the terminal's Ctrl-C, and goes with its parent.
"""

from __future__ import annotations

import ctypes
import os
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
    die_with_parent()
    import uvicorn

    uvicorn.run(
        "prefect.server.api.server:create_app",
        factory=True,
        host="127.0.0.1",
        port=int(sys.argv[1]),
        log_level="critical",
        lifespan="on",
    )


if __name__ == "__main__":
    main()

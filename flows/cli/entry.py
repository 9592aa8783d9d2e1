"""The first lines of the `landmarks` command: Ctrl-C is answered in one line even while the rest is being imported."""

from __future__ import annotations

import os


def main() -> None:
    """Run the command line."""
    try:
        from flows.cli.app import main as run

        run()
    except KeyboardInterrupt:
        os.write(2, b"landmarks: interrupted\n")
        os._exit(130)

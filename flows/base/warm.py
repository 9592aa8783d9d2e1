"""Prepare what a first run would otherwise wait for: Prefect's database. `make install` runs it once.

Creating the database takes 8 to 12 s, mostly migrations; a run finds it there afterwards. Harmless to repeat.
"""

from __future__ import annotations

from flows.base.prefect_server import PrefectServer


def main() -> None:
    """Start the temporary Prefect server once and stop it again."""
    server = PrefectServer()
    server.start()
    try:
        server.wait()
    finally:
        server.stop()


if __name__ == "__main__":
    main()

"""Whether a run still holds its lock, as seen from wherever its tasks run: asked before every write that counts.

A run that was stopped past its lease, and the tasks of a dead run that live on in a cluster, find another owner in
the lock object, or none, and write nothing more.
"""

from __future__ import annotations

import json
import time
from typing import Any, NamedTuple

from landmark_ops.errors import RunError
from landmark_ops.stores.locations import read_bytes

CHECK_SECONDS = 5.0  # how long tasks of one process rely on the same check
TRIES = 4  # tries of reading the lock where storage fails: .2 + .4 + .8 s
_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)  # goes on while the machine is suspended


def now() -> float:
    """Seconds by a clock of this machine that is never set, and that does not stop while it sleeps."""
    return time.clock_gettime(_CLOCK)


_checked: dict[Fence, float] = {}


class Fence(NamedTuple):
    """The lock of an output, and the token that is in it while the run that was given this fence holds it."""

    output: str
    lock: str
    token: str

    def check(self, max_age: float = 0.0) -> None:
        """RunError unless the lock is this run's; what was found less than `max_age` seconds ago is not asked again."""
        asked = now()
        if max_age and asked - _checked.get(self, -max_age) < max_age:
            return
        holder = self._read()
        if holder.get("id") != self.token:
            who = f"process {holder['pid']} on {holder['host']} has" if {"pid", "host"} <= holder.keys() else "nobody"
            raise RunError(
                f"output {self.output}: this run has lost its lock, {who} {'it' if who != 'nobody' else 'holds it'} "
                "now: nothing more is written by this run, which slept too long or was given up: run again"
            )
        _checked.clear()  # one run at a time in a process, and a cluster's worker outlives many
        _checked[self] = asked

    def _read(self) -> dict[str, Any]:
        """What the lock holds; {} where it is gone. RunError where that is unknown."""
        for attempt in range(TRIES):
            try:
                holder = json.loads(read_bytes(self.lock))
                return holder if isinstance(holder, dict) else {}
            except (FileNotFoundError, ValueError):
                return {}
            except Exception as error:  # any type: unknown is neither held nor lost
                if attempt == TRIES - 1:
                    raise RunError(
                        f"output {self.output}: its lock {self.lock} cannot be read ({error}), so nobody knows whether "
                        "this run still may write: run again to go on from what is committed"
                    ) from error
                time.sleep(0.2 * 2**attempt)
        raise AssertionError("unreachable")

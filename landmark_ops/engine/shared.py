"""The arguments that all tasks of a pass share, on the workers of a cluster: sent once, and again where they are lost.

They live in worker memory only.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from functools import partial
from typing import Any
from uuid import uuid4

from dask.sizeof import sizeof
from distributed import Client, as_completed

from landmark_ops.engine.losses import REMEDY, RESENDS, check_scheduler
from landmark_ops.errors import RunError

SEND_SECONDS = 120.0  # for one worker to take them; the scheduler mostly gives up a frozen one sooner
SPREAD_SECONDS = 5.0  # for the others to get them before the first tasks start
SMALL_BYTES = 16 << 20  # arguments up to this size, over all workers, are sent to each at once


def hold(common: tuple[Any, ...]) -> None:
    """A task that is done once its worker has the shared arguments."""


class Shared:
    """Shared arguments on the workers of `client`.

    `future` stands for them in tasks; `threads` are those of all workers, at least 1, as the arguments were sent.
    """

    def __init__(self, client: Client, common: tuple[Any, ...]) -> None:
        self.client, self.common = client, common
        self.future: Any = None
        self.threads = 1
        self.send()

    @property
    def lost(self) -> bool:
        """Whether no worker has them any more."""
        return self.future.status in ("cancelled", "lost")

    def send(self) -> None:
        """Send small arguments to every worker, larger ones to one of them, from which the others fetch them.

        Not `scatter(broadcast=True)`: where a worker freezes or dies meanwhile, Dask asks it again and again, for ever,
        and holds a lock that every later broadcast waits for.

        Raises RunError where no worker is left, or none can be reached.
        """
        workers = self._addresses()
        self.threads = max(1, sum(workers.values()))
        if len(workers) > 1 and sizeof(self.common) * len(workers) <= SMALL_BYTES:
            self.future = self.client.sync(self._send_to_each, list(workers))
            if self.future is not None:
                return
        send = partial(self.client.scatter, [self.common], hash=False, asynchronous=True)
        for attempt in range(RESENDS + 1):
            try:
                self.future = self.client.sync(send, callback_timeout=SEND_SECONDS)[0]
                break
            except OSError as error:  # the worker was given up meanwhile, or took too long: try another
                check_scheduler(self.client, error)
                if not self._addresses():
                    raise RunError(f"no worker of the cluster is left: {REMEDY}") from error
                if attempt == RESENDS:
                    raise RunError(f"the workers of the cluster cannot be reached: {REMEDY}") from error
        self._spread()

    def drop(self) -> None:
        """Let the workers forget them, even where the traceback of a lost task keeps this object."""
        self.future = None

    def _addresses(self) -> dict[str, int]:
        """Every worker now alive, and its threads."""
        try:
            return dict(self.client.nthreads())
        except OSError as error:
            check_scheduler(self.client, error)
            return {}

    async def _send_to_each(self, workers: list[str]) -> Any:
        """The future of arguments sent to every worker that took them in time; None where none did."""
        name = f"common-{uuid4().hex}"
        scatter = partial(self.client.scatter, {name: self.common}, hash=False, asynchronous=True)
        sends = [asyncio.ensure_future(scatter(workers=[worker])) for worker in workers]
        done, late = await asyncio.wait(sends, timeout=SPREAD_SECONDS)
        for one in late:
            one.cancel()
        taken = [one.result()[name] for one in done if one.exception() is None]
        return taken[0] if taken else None

    def _spread(self) -> None:
        """Let every worker fetch the arguments: tasks are handed first to those that have them.

        Correctness does not depend on it, so it waits no longer than `SPREAD_SECONDS`.
        """
        workers = self._addresses()
        self.threads = max(1, sum(workers.values()))  # including those that were down when sending began
        if len(workers) < 2:
            return
        copies = [self.client.submit(hold, self.future, workers=[worker], pure=False, priority=1) for worker in workers]
        with suppress(TimeoutError):
            for _ in as_completed(copies, loop=self.client.loop, timeout=SPREAD_SECONDS):
                pass

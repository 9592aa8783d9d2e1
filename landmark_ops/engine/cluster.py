"""The engine on a Dask cluster: explicit futures in a bounded window, shared arguments sent once.

A worker that dies is replaced by its nanny and its tasks run again elsewhere. Shared arguments live in worker memory
only, so where the last copy dies with its worker they are sent again and the lost tasks resubmitted.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import suppress
from functools import partial
from typing import Any, Generic, TypeVar
from uuid import uuid4

from dask.sizeof import sizeof
from distributed import Client, KilledWorker, as_completed
from distributed.scheduler import NoWorkerError

from landmark_ops.engine.allocator import keep_freed_memory
from landmark_ops.engine.engine import FAN_IN, PARTS_PER_WORKER, TASKS_PER_WORKER, Done, Fold, Item
from landmark_ops.errors import RunError

T = TypeVar("T")

RECONNECT_SECONDS = 5.0  # a connection that comes back within these loses no run
RESENDS = 3  # times the shared arguments are sent again before the run gives up
SEND_SECONDS = 120.0  # for one worker to take them; one that froze is given up by the scheduler, mostly sooner
SPREAD_SECONDS = 5.0  # for the others to have them too before the first tasks are handed out
SMALL_BYTES = 16 << 20  # arguments that, for all workers together, are no larger are sent to each at once
REMEDY = "see the workers' logs for what ended them, start some, then run again to resume"
GROUP = FAN_IN**3  # parts folded on the workers before their sum travels here; a whole subtree of the fold


def call(fn: Callable[..., T], item: Item, common: tuple[Any, ...]) -> T:
    """Run one block function on a worker."""
    keep_freed_memory()
    return fn(item, *common)


def hold(common: tuple[Any, ...]) -> None:
    """A task that is done once its worker has the shared arguments."""


class ClusterEngine:
    """Runs block functions on the workers of `client`; see `landmark_ops.engine.engine.Engine`."""

    def __init__(self, client: Client) -> None:
        self.client = client

    @property
    def task_memory(self) -> int | None:
        """Bytes that the smallest worker has for each of its threads; None where no worker is limited."""
        found = self.client.scheduler_info(n_workers=-1)["workers"].values()
        limits = [one["memory_limit"] // max(1, one["nthreads"]) for one in found if one["memory_limit"]]
        return min(limits, default=None)

    @property
    def workers(self) -> int:
        """Threads of all workers now alive, at least 1."""
        return max(1, sum(self.client.nthreads().values()))

    def check_scheduler(self, cause: BaseException) -> None:
        """RunError where tasks were lost because the scheduler is gone, not a worker."""
        deadline = time.monotonic() + RECONNECT_SECONDS
        while self.client.status == "connecting" and time.monotonic() < deadline:
            time.sleep(0.05)
        if self.client.status != "running":
            address = getattr(self.client.scheduler, "address", None) or "the cluster"
            raise RunError(
                f"the Dask scheduler {address} was lost: is it running, and reachable? What is committed is kept: run "
                "the same command again to resume"
            ) from cause

    def imap(
        self, fn: Callable[..., T], items: Sequence[Item], *common: Any, done: Done | None = None
    ) -> Iterator[tuple[Item, T]]:
        """See `Engine.imap`."""
        batch = _Batch(self, fn, common)
        queue = iter(items)
        # Results come with the news of completion, and all that came meanwhile are answered by one submission: one by
        # one, a task would cost three times the scheduler's own 2 ms.
        finished: Any = as_completed(loop=self.client.loop, with_results=True, raise_errors=False)
        try:
            finished.update(batch.submit_all(_first(queue, batch.threads * TASKS_PER_WORKER)))
            for completed in finished.batches():
                results: list[tuple[Item, T]] = []
                for future, result in completed:
                    try:  # one that was lost since, with its worker, is computed again: result() waits for that
                        value = result if future.status == "finished" else future.result()
                    except (CancelledError, KilledWorker, NoWorkerError) as error:
                        self.check_scheduler(error)
                        finished.add(batch.again(future, error))
                        continue
                    results.append((batch.forget(future), value))
                finished.update(batch.submit_all(_first(queue, len(results))))
                for item, result in results:
                    if done:
                        done(item)
                    yield item, result
        finally:
            batch.cancel()

    def reduce(
        self,
        fn: Callable[..., T],
        combine: Callable[[list[T]], T],
        items: Sequence[Item],
        *common: Any,
        done: Done | None = None,
    ) -> T:
        """See `Engine.reduce`: parts are folded where they are, on the workers; one sum of `GROUP` parts travels."""
        told: set[Item] = set()

        def tell(item: Item) -> None:  # once for each item, however often its part was lost and computed again
            if done and item not in told:
                told.add(item)
                done(item)

        for attempt in range(RESENDS + 1):
            try:
                return self._reduce_once(fn, combine, items, common, tell)
            except CancelledError as error:
                self.check_scheduler(error)
                if attempt == RESENDS:
                    raise RunError(
                        f"the sums over {len(items)} blocks were lost with their workers {RESENDS + 1} times: "
                        "see the workers' logs for what ended them"
                    ) from error
        raise AssertionError("unreachable")

    def _reduce_once(
        self,
        fn: Callable[..., T],
        combine: Callable[[list[T]], T],
        items: Sequence[Item],
        common: tuple[Any, ...],
        done: Done,
    ) -> T:
        batch = _Batch(self, fn, common)
        fold: _GroupedFold[T] = _GroupedFold(self.client, combine)
        queue = iter(items)
        finished: Any = as_completed(loop=self.client.loop, with_results=False)
        try:
            for item in _first(queue, batch.threads * PARTS_PER_WORKER):
                finished.add(future := batch.submit(item))
                fold.push(future)
            for future in finished:
                item = batch.item_of(future)
                if future.status in ("error", "cancelled", "lost"):
                    _raise_known(future, item)
                batch.forget(future)
                for following in _first(queue, 1):
                    finished.add(submitted := batch.submit(following))
                    fold.push(submitted)
                done(item)
            return fold.finish()
        except (KilledWorker, NoWorkerError) as error:  # while parts were folded
            raise _given_up((items[0][0], items[-1][1]), error) from error
        finally:
            batch.cancel()


class _GroupedFold(Generic[T]):
    """The tree of `Fold`, cut: futures are folded on the workers up to groups of `GROUP`, the groups' sums here.

    The scheduler remembers all that a sum was made of until its future is dropped, to make it again where it is lost.
    Uncut, that memory would grow with the number of blocks: 2 kB for each.
    """

    def __init__(self, client: Client, combine: Callable[[list[T]], T]) -> None:
        self._submit = lambda parts: client.submit(combine, parts, pure=False)
        self._sums: Fold[T] = Fold(combine)
        self._group: Fold[Any] = Fold(self._submit)
        self._groups: deque[Any] = deque()
        self._parts = 0

    def push(self, future: Any) -> None:
        """Add the next part."""
        self._group.push(future)
        self._parts += 1
        if self._parts % GROUP == 0:
            self._close_group()
        while self._groups and self._groups[0].done():
            self._sums.push(self._groups.popleft().result())

    def finish(self) -> T:
        """Wait for all parts; their sum."""
        if self._parts % GROUP:
            self._close_group()
        while self._groups:
            self._sums.push(self._groups.popleft().result())
        return self._sums.finish()

    def _close_group(self) -> None:
        self._groups.append(self._group.finish())
        self._group = Fold(self._submit)


class _Batch:
    """The tasks of one imap or reduce: which item each future stands for, and the shared arguments."""

    def __init__(self, engine: ClusterEngine, fn: Callable[..., Any], common: tuple[Any, ...]) -> None:
        self.engine, self.client, self.fn, self.common = engine, engine.client, fn, common
        self.items: dict[Any, tuple[Any, Item]] = {}
        self.resends = 0
        self._send()

    def _send(self) -> None:
        """Send small arguments to every worker, larger ones to one of them, from which the others fetch them.

        Not `scatter(broadcast=True)`: where a worker freezes or dies meanwhile, Dask asks it again and again, for ever,
        and holds a lock that every later broadcast waits for.
        """
        workers = self._addresses()
        self.threads = max(1, sum(workers.values()))
        if len(workers) > 1 and sizeof(self.common) * len(workers) <= SMALL_BYTES:
            self.shared = self.client.sync(self._send_to_each, list(workers))
            if self.shared is not None:
                return
        send = partial(self.client.scatter, [self.common], hash=False, asynchronous=True)
        for attempt in range(RESENDS + 1):
            try:
                self.shared = self.client.sync(send, callback_timeout=SEND_SECONDS)[0]
                break
            except OSError as error:  # a worker was given up while it was sent to, or took too long: another one's turn
                self.engine.check_scheduler(error)
                if not self._addresses():
                    raise RunError(f"no worker of the cluster is left: {REMEDY}") from error
                if attempt == RESENDS:
                    raise RunError(f"the workers of the cluster cannot be reached: {REMEDY}") from error
        self._spread()

    def _addresses(self) -> dict[str, int]:
        """Every worker now alive, and its threads."""
        try:
            return dict(self.client.nthreads())
        except OSError as error:
            self.engine.check_scheduler(error)
            return {}

    async def _send_to_each(self, workers: list[str]) -> Any:
        """The future of arguments that all workers have who took them in time; None where there is none."""
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

        No promise depends on it, so it is not waited for longer than `SPREAD_SECONDS`.
        """
        workers = self._addresses()
        self.threads = max(1, sum(workers.values()))  # those that were down as the sending began are up again
        if len(workers) < 2:
            return
        copies = [self.client.submit(hold, self.shared, workers=[worker], pure=False, priority=1) for worker in workers]
        with suppress(TimeoutError):
            for _ in as_completed(copies, loop=self.client.loop, timeout=SPREAD_SECONDS):
                pass

    def submit(self, item: Item) -> Any:
        future: Any = self.client.submit(call, self.fn, item, self.shared, pure=False)
        self.items[future.key] = (future, item)
        return future

    def submit_all(self, items: Iterator[Item]) -> list[Any]:
        """Submit several tasks in one message."""
        chosen = list(items)
        if not chosen:
            return []
        count = len(chosen)
        futures: list[Any] = self.client.map(call, [self.fn] * count, chosen, [self.shared] * count, pure=False)
        self.items.update({future.key: (future, item) for future, item in zip(futures, chosen, strict=True)})
        return futures

    def item_of(self, future: Any) -> Item:
        return self.items[future.key][1]

    def forget(self, future: Any) -> Item:
        return self.items.pop(future.key)[1]

    def again(self, future: Any, error: BaseException) -> Any:
        """Resubmit the task of a lost future, with the shared arguments sent anew."""
        item = self.item_of(future)
        if not isinstance(error, CancelledError):
            raise _given_up(item, error) from error
        self.resends += 1
        if self.resends > RESENDS * max(1, len(self.items)):
            running = [other for _, other in self.items.values()]
            raise RunError(
                f"a block among rows {min(running)[0]}..{max(running)[1]}: its workers died again and again, most "
                "likely out of memory: see their logs, raise cluster.memory, or store the source in smaller chunks"
            ) from error
        self.forget(future)
        if self.shared.status in ("cancelled", "lost"):
            self._send()
        return self.submit(item)

    def cancel(self) -> None:
        if self.items and self.client.status == "running":
            self.client.cancel([future for future, _ in self.items.values()], force=True)
        self.items.clear()
        self.shared = None  # the workers may forget it now, even where the traceback of a lost task keeps this batch


def _first(queue: Iterator[Item], count: int) -> Iterator[Item]:
    for _, item in zip(range(count), queue, strict=False):
        yield item


def _raise_known(future: Any, item: Item) -> None:
    try:
        future.result()
    except (KilledWorker, NoWorkerError) as error:
        raise _given_up(item, error) from error


def _given_up(item: Item, error: BaseException) -> RunError:
    if isinstance(error, NoWorkerError):
        return RunError(f"rows {item[0]}..{item[1]}: no worker was left for {error.timeout:.0f} s: {REMEDY}")
    return RunError(
        f"rows {item[0]}..{item[1]}: every worker that took this block died, most likely out of memory: "
        "raise cluster.memory, or store the source in smaller chunks"
    )

"""Where block functions run: threads of this process, or a Dask cluster. Same calls, same results.

`imap` hands out results as they finish; `reduce` folds them in the order of the items, along one fixed tree, so
that a sum does not depend on which worker was faster. At most a window of tasks exists at any time: neither the
scheduler nor this process ever holds a graph that grows with n.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from itertools import islice
from typing import Any, Generic, Protocol, TypeVar

T = TypeVar("T")
Item = tuple[int, int]  # a range of rows: start, stop
Done = Callable[[Item], None]

FAN_IN = 8  # partial sums folded by one task
TASKS_PER_WORKER = 16  # in flight: hides the scheduler's 2 ms per task (6 did so by half)
PARTS_PER_WORKER = 6  # in flight while sums are folded: here each holds an (m, m) matrix


class Engine(Protocol):
    """Runs `fn(item, *common)` for many items. `common` is shipped once, not once per item."""

    @property
    def workers(self) -> int:
        """Blocks computed at the same time."""
        ...

    def imap(
        self, fn: Callable[..., T], items: Sequence[Item], *common: Any, done: Done | None = None
    ) -> Iterator[tuple[Item, T]]:
        """Yield (item, fn(item, *common)) in order of completion; `done(item)` is called for each."""
        ...

    def reduce(
        self,
        fn: Callable[..., T],
        combine: Callable[[list[T]], T],
        items: Sequence[Item],
        *common: Any,
        done: Done | None = None,
    ) -> T:
        """Fold fn(item, *common) over all items in the order of the items."""
        ...


class Fold(Generic[T]):
    """Folds a sequence along one fixed tree of fan-in `FAN_IN`, holding at most FAN_IN - 1 parts per level."""

    def __init__(self, combine: Callable[[list[T]], T]) -> None:
        self._combine = combine
        self._levels: list[list[T]] = []

    def push(self, part: T) -> None:
        """Add the next part; whole groups are folded at once."""
        for level in self._levels:
            level.append(part)
            if len(level) < FAN_IN:
                return
            part = self._combine(level[:])
            level.clear()
        self._levels.append([part])

    def finish(self) -> T:
        """Fold what is left, lowest level (latest parts) last."""
        rest: list[T] = []
        for level in self._levels:
            if level or rest:
                parts = level + rest
                rest = [parts[0] if len(parts) == 1 else self._combine(parts)]
        if not rest:
            raise ValueError("nothing to fold: no items were given")
        return rest[0]


class LocalEngine:
    """Threads of this process, one BLAS thread each while they run. For arrays, estimators and tests."""

    def __init__(self, workers: int | None = None) -> None:
        self.workers = workers or len(os.sched_getaffinity(0))

    def _threads(self) -> ThreadPoolExecutor:
        """Workers that limit themselves, too: of a BLAS built on OpenMP, as faiss brings, the limit is per thread."""
        from threadpoolctl import threadpool_limits

        return ThreadPoolExecutor(self.workers, initializer=threadpool_limits, initargs=(1, "blas"))

    def imap(
        self, fn: Callable[..., T], items: Sequence[Item], *common: Any, done: Done | None = None
    ) -> Iterator[tuple[Item, T]]:
        """See `Engine.imap`."""
        if len(items) == 1:  # one block: leave BLAS its own threads
            result = fn(items[0], *common)
            if done:
                done(items[0])
            yield items[0], result
            return
        from threadpoolctl import threadpool_limits

        with threadpool_limits(1, user_api="blas"), self._threads() as pool:
            waiting: dict[Future[T], Item] = {}
            queue = iter(items)
            try:
                for item in queue:
                    waiting[pool.submit(fn, item, *common)] = item
                    if len(waiting) >= self.workers * 2:
                        yield from self._drain(waiting, done)
                while waiting:
                    yield from self._drain(waiting, done)
            finally:
                for future in waiting:
                    future.cancel()

    @staticmethod
    def _drain(waiting: dict[Future[T], Item], done: Done | None) -> Iterator[tuple[Item, T]]:
        finished, _ = wait(waiting, return_when=FIRST_COMPLETED)
        for future in finished:
            item = waiting.pop(future)
            result = future.result()
            if done:
                done(item)
            yield item, result

    def reduce(
        self,
        fn: Callable[..., T],
        combine: Callable[[list[T]], T],
        items: Sequence[Item],
        *common: Any,
        done: Done | None = None,
    ) -> T:
        """See `Engine.reduce`. Early results wait for their turn, a window of them at most."""
        fold: Fold[T] = Fold(combine)
        if len(items) == 1:
            fold.push(next(self.imap(fn, items, *common, done=done))[1])
            return fold.finish()
        from threadpoolctl import threadpool_limits

        with threadpool_limits(1, user_api="blas"), self._threads() as pool:
            waiting: deque[tuple[Item, Future[T]]] = deque()
            queue = iter(items)
            try:
                while True:
                    for item in islice(queue, self.workers * TASKS_PER_WORKER - len(waiting)):
                        waiting.append((item, pool.submit(fn, item, *common)))
                    if not waiting:
                        return fold.finish()
                    item, future = waiting.popleft()
                    fold.push(future.result())
                    if done:
                        done(item)
            finally:
                for _, future in waiting:
                    future.cancel()

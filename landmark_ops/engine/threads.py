"""The engine on threads of this process. For arrays, estimators and tests."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from itertools import islice
from typing import Any, Concatenate, TypeVar

from landmark_ops.engine.fold import Fold
from landmark_ops.engine.protocol import TASKS_PER_WORKER

Item = TypeVar("Item")
T = TypeVar("T")


class LocalEngine:
    """Threads of this process, one BLAS thread each while they run; see `Engine`."""

    def __init__(self, workers: int | None = None) -> None:
        self.workers = workers or len(os.sched_getaffinity(0))

    def _threads(self) -> ThreadPoolExecutor:
        """A pool whose threads set the limit, too: for a BLAS built on OpenMP, as faiss brings, it is per thread."""
        from threadpoolctl import threadpool_limits

        return ThreadPoolExecutor(self.workers, initializer=threadpool_limits, initargs=(1, "blas"))

    def imap(
        self,
        fn: Callable[Concatenate[Item, ...], T],
        items: Sequence[Item],
        *common: Any,
        done: Callable[[Item], object] | None = None,
    ) -> Iterator[tuple[Item, T]]:
        """See `Engine.imap`."""
        if len(items) == 1:  # one item: leave BLAS its own threads
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
    def _drain(waiting: dict[Future[T], Item], done: Callable[[Item], object] | None) -> Iterator[tuple[Item, T]]:
        finished, _ = wait(waiting, return_when=FIRST_COMPLETED)
        for future in finished:
            item = waiting.pop(future)
            result = future.result()
            if done:
                done(item)
            yield item, result

    def reduce(
        self,
        fn: Callable[Concatenate[Item, ...], T],
        combine: Callable[[list[T]], T],
        items: Sequence[Item],
        *common: Any,
        done: Callable[[Item], object] | None = None,
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

"""The engine on a Dask cluster: explicit futures in a bounded window, shared arguments sent once.

A worker that dies is replaced by its nanny and its tasks run again elsewhere. Where the last copy of the shared
arguments dies with its worker, they are sent again and the lost tasks resubmitted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError
from typing import Any, Concatenate, TypeVar

from distributed import Client, KilledWorker, as_completed
from distributed.scheduler import NoWorkerError

from landmark_ops.engine.batch import Batch
from landmark_ops.engine.grouped_fold import GroupedFold
from landmark_ops.engine.losses import RESENDS, check_scheduler, given_up
from landmark_ops.engine.protocol import PARTS_PER_WORKER, TASKS_PER_WORKER
from landmark_ops.errors import RunError

Item = TypeVar("Item")
T = TypeVar("T")


class ClusterEngine:
    """Runs functions of an item on the workers of `client`; see `landmark_ops.engine.protocol.Engine`."""

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

    def imap(
        self,
        fn: Callable[Concatenate[Item, ...], T],
        items: Sequence[Item],
        *common: Any,
        done: Callable[[Item], object] | None = None,
    ) -> Iterator[tuple[Item, T]]:
        """See `Engine.imap`."""
        batch = Batch(self.client, fn, items, common)
        # Results come with the news of completion, and all that came meanwhile are answered by one submission: one by
        # one, a task would cost three times the scheduler's own 2 ms.
        finished: Any = as_completed(loop=self.client.loop, with_results=True, raise_errors=False)
        try:
            finished.update(batch.submit_next(batch.threads * TASKS_PER_WORKER))
            for completed in finished.batches():
                results: list[tuple[Item, T]] = []
                for future, result in completed:
                    try:  # one lost since, with its worker, is computed again: result() waits for that
                        value = result if future.status == "finished" else future.result()
                    except (CancelledError, KilledWorker, NoWorkerError) as error:
                        check_scheduler(self.client, error)
                        finished.add(batch.again(future, error))
                        continue
                    results.append((items[batch.forget(future)], value))
                finished.update(batch.submit_next(len(results)))
                for item, result in results:
                    if done:
                        done(item)
                    yield item, result
        finally:
            batch.cancel()

    def reduce(
        self,
        fn: Callable[Concatenate[Item, ...], T],
        combine: Callable[[list[T]], T],
        items: Sequence[Item],
        *common: Any,
        done: Callable[[Item], object] | None = None,
    ) -> T:
        """See `Engine.reduce`: parts are folded on the workers; only the sum of each `GROUP` parts travels.

        Raises RunError where parts of the sum were lost with their workers again and again.
        """
        told: set[int] = set()

        def tell(position: int) -> None:  # once per item, however often it was computed
            if done and position not in told:
                told.add(position)
                done(items[position])

        for attempt in range(RESENDS + 1):
            try:
                return self._reduce_once(fn, combine, items, common, tell)
            except CancelledError as error:
                check_scheduler(self.client, error)
                if attempt == RESENDS:
                    raise RunError(
                        f"the sums over {len(items)} blocks were lost with their workers {RESENDS + 1} times: "
                        "see the workers' logs for what ended them"
                    ) from error
        raise AssertionError("unreachable")

    def _reduce_once(
        self,
        fn: Callable[Concatenate[Item, ...], T],
        combine: Callable[[list[T]], T],
        items: Sequence[Item],
        common: tuple[Any, ...],
        tell: Callable[[int], None],
    ) -> T:
        batch = Batch(self.client, fn, items, common)
        fold: GroupedFold[T] = GroupedFold(self.client, combine)
        finished: Any = as_completed(loop=self.client.loop, with_results=False)

        def submit(count: int) -> None:
            for future in batch.submit_next(count):
                finished.add(future)
                fold.push(future)

        try:
            submit(batch.threads * PARTS_PER_WORKER)
            for future in finished:
                position = batch.position_of(future)
                if future.status in ("error", "cancelled", "lost"):
                    try:
                        future.result()
                    except (KilledWorker, NoWorkerError) as error:
                        raise given_up([items[position]], error) from error
                batch.forget(future)
                submit(1)
                tell(position)
            return fold.finish()
        except (KilledWorker, NoWorkerError) as error:  # while parts were folded
            raise given_up(items, error) from error
        finally:
            batch.cancel()

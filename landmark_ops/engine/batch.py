"""The tasks of one imap or reduce on a cluster: which are in flight, and the item of each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError
from typing import Any, Concatenate, Generic, TypeVar

from distributed import Client

from landmark_ops.engine.allocator import keep_freed_memory
from landmark_ops.engine.losses import RESENDS, died_again, given_up
from landmark_ops.engine.shared import Shared

Item = TypeVar("Item")
T = TypeVar("T")


def call(fn: Callable[..., T], item: Any, common: tuple[Any, ...]) -> T:
    """Run a function of one item on a worker."""
    keep_freed_memory()
    return fn(item, *common)


class Batch(Generic[Item]):
    """Tasks `fn(item, *common)`, submitted in the order of the items, a few at a time."""

    def __init__(
        self,
        client: Client,
        fn: Callable[Concatenate[Item, ...], Any],
        items: Sequence[Item],
        common: tuple[Any, ...],
    ) -> None:
        self.client, self.fn, self.items = client, fn, items
        self.shared = Shared(client, common)
        self._submitted = 0
        self._running: dict[str, tuple[Any, int]] = {}  # by key of its future: the future, and the item's position
        self._resends = 0

    @property
    def threads(self) -> int:
        """Threads of all workers."""
        return self.shared.threads

    def submit_next(self, count: int) -> list[Any]:
        """The futures of the next `count` items, as far as there are any, submitted in one message."""
        chosen = range(self._submitted, min(self._submitted + count, len(self.items)))
        self._submitted = chosen.stop
        return self._submit(chosen)

    def position_of(self, future: Any) -> int:
        """The position of a future's item."""
        return self._running[future.key][1]

    def forget(self, future: Any) -> int:
        """The position of a finished future's item; its task is not tracked any more."""
        return self._running.pop(future.key)[1]

    def again(self, future: Any, error: BaseException) -> Any:
        """Resubmit the task of a lost future, with the shared arguments sent anew where they are lost too.

        Raises RunError where it has been given up, or too much was lost already.
        """
        position = self.position_of(future)
        if not isinstance(error, CancelledError):
            raise given_up([self.items[position]], error) from error
        self._resends += 1
        if self._resends > RESENDS * max(1, len(self._running)):
            raise died_again([self.items[at] for _, at in self._running.values()]) from error
        self.forget(future)
        if self.shared.lost:
            self.shared.send()
        return self._submit([position])[0]

    def cancel(self) -> None:
        """End what is in flight and let the workers forget the shared arguments."""
        if self._running and self.client.status == "running":
            self.client.cancel([future for future, _ in self._running.values()], force=True)
        self._running.clear()
        self.shared.drop()

    def _submit(self, positions: Sequence[int]) -> list[Any]:
        count = len(positions)
        if not count:
            return []
        items = [self.items[at] for at in positions]
        futures: list[Any] = self.client.map(call, [self.fn] * count, items, [self.shared.future] * count, pure=False)
        self._running.update({future.key: (future, at) for future, at in zip(futures, positions, strict=True)})
        return futures

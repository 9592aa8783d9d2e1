"""Where functions of an item run: threads of this process, or a Dask cluster. Same calls, same results.

An item is anything that can be sent to a worker: a range of rows, a shard, a file. `imap` hands out results as they
finish; `reduce` folds them in the order of the items, along one fixed tree, so that a sum does not depend on which
worker was faster. At most a window of tasks exists at any time: neither the scheduler nor this process ever holds a
graph that grows with the number of items.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Concatenate, Protocol, TypeVar

Item = TypeVar("Item")
T = TypeVar("T")

TASKS_PER_WORKER = 16  # in flight: hides the scheduler's 2 ms per task (6 did so by half)
PARTS_PER_WORKER = 6  # in flight while sums are folded: here each holds an (m, m) matrix


class Engine(Protocol):
    """Runs `fn(item, *common)` for many items. Each task is sent its own item; `common` is shipped once, not per item.

    Errors name an item by its `str`.
    """

    @property
    def workers(self) -> int:
        """Items worked on at the same time."""
        ...

    def imap(
        self,
        fn: Callable[Concatenate[Item, ...], T],
        items: Sequence[Item],
        *common: Any,
        done: Callable[[Item], object] | None = None,
    ) -> Iterator[tuple[Item, T]]:
        """Yield (item, fn(item, *common)) in order of completion; `done(item)` is called for each."""
        ...

    def reduce(
        self,
        fn: Callable[Concatenate[Item, ...], T],
        combine: Callable[[list[T]], T],
        items: Sequence[Item],
        *common: Any,
        done: Callable[[Item], object] | None = None,
    ) -> T:
        """Fold fn(item, *common) over all items in the order of the items. ValueError where there are none."""
        ...

"""The fold of parts that lie on the workers of a cluster."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from distributed import Client

from landmark_ops.engine.fold import FAN_IN, Fold

T = TypeVar("T")

GROUP = FAN_IN**3  # parts folded on the workers before their sum travels here; a whole subtree of the fold


class GroupedFold(Generic[T]):
    """The tree of `Fold` in two parts: workers fold futures in groups of `GROUP`, the groups' sums are folded here.

    The scheduler keeps the parts of a sum on record until its future is dropped, to recompute it if lost. In one part,
    that memory would grow with the number of parts: 2 kB for each.
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

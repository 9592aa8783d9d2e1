"""Partial results put together along one fixed tree."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")

FAN_IN = 8  # partial results folded at once


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

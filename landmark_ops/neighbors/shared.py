"""Large things that tasks share through a scratch folder: opened once per process, one of them at a time.

Sent as an argument, an index or a graph would be held by every worker as bytes and once more as itself.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, TypeVar
from uuid import uuid4

from landmark_ops.stores.scratch import Scratch

T = TypeVar("T")


def fresh_name(kind: str) -> str:
    """A name that was never used before, so that no process mistakes an earlier run's data for this one's."""
    return f"{kind}-{uuid4().hex}"


def opened(scratch: Scratch, name: str, open_it: Callable[[Scratch, str], T]) -> T:
    """The result of `open_it(scratch, name)`, kept in this process until another name is opened."""
    return _opened(scratch, name, open_it)


def forget() -> None:
    """Let go of what this process holds."""
    _opened.cache_clear()


@lru_cache(maxsize=1)  # one entry: the lists of the search make way for the graph
def _opened(scratch: Scratch, name: str, open_it: Callable[[Scratch, str], Any]) -> Any:
    return open_it(scratch, name)

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
    """A name nothing was ever stored under, so that no process takes an earlier run's things for it."""
    return f"{kind}-{uuid4().hex}"


def opened(scratch: Scratch, name: str, open_it: Callable[[Scratch, str], T]) -> T:
    """What `open_it(scratch, name)` gave this process before, unless something else was opened since."""
    return _opened(scratch, name, open_it)


def forget() -> None:
    """Let go of what this process holds."""
    _opened.cache_clear()


@lru_cache(maxsize=1)  # one: the lists of the search make way for the graph
def _opened(scratch: Scratch, name: str, open_it: Callable[[Scratch, str], Any]) -> Any:
    return open_it(scratch, name)

"""A stage of a flow: one Prefect task, called with the run it belongs to. Prefect sees its name and its end, no more.

Everything that a stage needs is among its arguments, sockets and bars included. Prefect would search arguments for
results of other tasks, going through every list and dataclass in them, and hash them for its cache: they are quoted,
which it leaves alone, and nothing is cached or kept.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import update_wrapper
from typing import Any, Generic, ParamSpec, TypeVar

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.utilities.annotations import quote

P = ParamSpec("P")
R = TypeVar("R")


class Stage(Generic[P, R]):
    """`fn` as a Prefect task; `fn` itself is what a test or a benchmark calls, without a flow around it."""

    def __init__(self, fn: Callable[P, R], name: str) -> None:
        self.fn = fn
        self._task: Any = task(name=name, cache_policy=NO_CACHE, persist_result=False, log_prints=False)(fn)
        update_wrapper(self, fn)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run as a task of the flow in progress."""
        found: R = self._task(*map(quote, args), **{name: quote(value) for name, value in kwargs.items()})
        return found


def stage(name: str) -> Callable[[Callable[P, R]], Stage[P, R]]:
    """Decorator: the function becomes the stage that Prefect calls `name`."""
    return lambda fn: Stage(fn, name)

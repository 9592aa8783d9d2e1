"""A whole flow, as Prefect runs it: from a command line, a schedule, a worker's pool or a form."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from typing import Any, ParamSpec, TypeVar, get_type_hints

from prefect.filesystems import WritableFileSystem
from prefect.flows import Flow

P = ParamSpec("P")
R = TypeVar("R")


class Nowhere(WritableFileSystem):
    """Result storage that drops everything: what a run made is in its output, why it failed in its state's message.

    Prefect writes the exception of a failed flow to its storage as a pickle, whatever `persist_result` says.
    """

    def read_path(self, path: str) -> bytes:  # type: ignore[override]  # Prefect takes either kind of method
        """Nothing is there."""
        raise ValueError("results of runs are not kept: see the output of the run, or the message of its state")

    def write_path(self, path: str, content: bytes) -> str:  # type: ignore[override]
        """Keep nothing."""
        return path

    def _resolve_path(self, path: str) -> None:
        """No file."""


class Pipeline(Flow[P, R]):
    """A Prefect flow that leaves nothing of its results with Prefect."""

    def __init__(self, fn: Callable[P, R], name: str) -> None:
        super().__init__(fn, name=name, persist_result=False, log_prints=False)
        self.result_storage = Nowhere()  # as an argument, Prefect refuses an unregistered block

    def with_options(self, **options: Any) -> Flow[P, R]:
        """See `Flow.with_options`, which makes a new plain Flow."""
        plain = copy(self)
        plain.result_storage = None
        made = Flow.with_options(plain, **options)
        if made.result_storage is None:
            made.result_storage = self.result_storage
        return made


def pipeline(name: str) -> Callable[[Callable[P, R]], Pipeline[P, R]]:
    """Decorator: the function becomes the flow that Prefect calls `name`.

    A runner sends the function itself to the process of the run, without the module around it: annotations are resolved
    to types here, since their names cannot be looked up there.
    """

    def decorate(fn: Callable[P, R]) -> Pipeline[P, R]:
        fn.__annotations__ = get_type_hints(fn)
        return Pipeline(fn, name=name)

    return decorate

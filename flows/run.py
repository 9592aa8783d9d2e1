"""The run in progress: what its stages share in this process and never send anywhere."""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass

from flows.progress import Progress
from landmark_ops.blocks.engine import Engine
from landmark_ops.blocks.sums import Targets
from landmark_ops.config import EmbedConfig
from landmark_ops.stores.embedding import EmbeddingStore
from landmark_ops.stores.rows import Rows


@dataclass
class Run:
    """One run of the embed flow. Prefect tasks find it by `current_run`: sockets and bars are no task arguments."""

    config: EmbedConfig
    rows: Rows
    fingerprint: str
    targets: Targets | None
    engine: Engine
    progress: Progress


@dataclass
class Part:
    """One method of a run: its own config, its output, and whether there is anything to be done about it.

    `state`: new, resume or complete.
    """

    name: str
    config: EmbedConfig
    store: EmbeddingStore
    state: str


_current: ContextVar[Run] = ContextVar("run")
progress_of_caller: ContextVar[Progress | None] = ContextVar("progress_of_caller", default=None)


def current_run() -> Run:
    """The run this stage belongs to."""
    return _current.get()


def set_run(run: Run) -> None:
    """Make `run` the one that stages find."""
    _current.set(run)

"""The run in progress: what its stages share in this process; it is never sent to workers."""

from __future__ import annotations

from dataclasses import dataclass, field

from flows.base.progress import Progress
from landmark_ops.configs.embed import EmbedConfig
from landmark_ops.engine.protocol import Engine
from landmark_ops.passes.targets import Targets
from landmark_ops.stores.embeddings.store import EmbeddingStore
from landmark_ops.stores.sources.rows import Rows
from landmark_ops.stores.traces import Trace, trace, was_written


@dataclass
class Run:
    """One run of the embed or compare flow, the first argument of each of its stages."""

    config: EmbedConfig
    rows: Rows
    fingerprint: str
    targets: Targets | None
    engine: Engine
    progress: Progress
    traces: list[Trace | None] = field(init=False)

    def __post_init__(self) -> None:
        self.traces = self.trace()

    def trace(self) -> list[Trace | None]:
        """The state of the source and the target on disk that their fingerprints do not cover."""
        sources = (self.rows, *([self.targets.rows] if self.targets else []))
        return [trace(place) for rows in sources for place in rows.places]

    def source_was_written(self) -> bool:
        """Whether the source or the target was written since the run began, even with size and time as before."""
        return any(was_written(before, after) for before, after in zip(self.traces, self.trace(), strict=True))


@dataclass
class MethodOutput:
    """One method of a run: its own config, its output, and what is left to do.

    `state`: new, resume or complete.
    """

    name: str
    config: EmbedConfig
    store: EmbeddingStore
    state: str

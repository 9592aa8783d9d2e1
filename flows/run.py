"""The run in progress: what its stages are handed, and share in this process, and never send anywhere."""

from __future__ import annotations

from dataclasses import dataclass

from flows.progress import Progress
from landmark_ops.blocks.engine import Engine
from landmark_ops.blocks.sums import Targets
from landmark_ops.config import EmbedConfig
from landmark_ops.stores.embedding import EmbeddingStore
from landmark_ops.stores.rows import Rows


@dataclass
class Run:
    """One run of the embed or compare flow, the first argument of each of its stages."""

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

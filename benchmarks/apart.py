"""A whole embedding in a process of its own, so that the peak memory of the flow's process is that of this run.

What `run.quieten` sets is in the environment, so the process inherits it.
"""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import NamedTuple

import distributed  # noqa: F401  before Prefect, which would print its log lines

from benchmarks.blocks import own_peak_rss
from benchmarks.pipeline import Embedded, embed
from benchmarks.workers import peak_rss, two_workers
from landmark_ops.configs.embed import EmbedConfig


class Apart(NamedTuple):
    """One run in fresh processes. Bytes."""

    run: Embedded
    workers: list[int]  # peak of each
    flow: int  # peak
    planned_worker: int
    planned_flow: int


def embed_apart(config: EmbedConfig, warm: EmbedConfig | None = None) -> Apart:
    """Embed on 2 fresh workers, driven by a fresh process; `warm`, if given, before that, so that all is imported."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(_embed, config, warm).result()


def _embed(config: EmbedConfig, warm: EmbedConfig | None) -> Apart:
    with two_workers() as engine:
        if warm is not None:
            embed(warm, engine)
        run = embed(config, engine)
        return Apart(run, peak_rss(engine), own_peak_rss(), run.plan.peak_bytes, run.plan.flow_bytes)

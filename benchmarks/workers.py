"""Two single-thread workers, as a run of the flow starts them, and what they tell of themselves."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks.blocks import own_peak_rss
from benchmarks.gemm import gemm_rates
from flows.base.workers import open_engine
from landmark_ops.configs.embed import ClusterConfig
from landmark_ops.engine.cluster import ClusterEngine

WORKERS = 2
NOT_SMALL = 1 << 40  # bytes: an engine for small sources would be threads of this process


@contextmanager
def two_workers() -> Iterator[ClusterEngine]:
    """A fresh LocalCluster of `WORKERS` processes with one thread each, through the flow's own `open_engine`."""
    with open_engine(ClusterConfig(workers=WORKERS), NOT_SMALL) as engine:
        yield engine


def peak_rss(engine: ClusterEngine) -> list[int]:
    """Bytes of the largest resident set each worker process ever had."""
    return sorted(engine.client.run(own_peak_rss).values())


def worker_gemm_rates(engine: ClusterEngine, size: int, rounds: int) -> list[list[float]]:
    """Samples of float32 GFLOP/s of each worker, all of them multiplying at the same time."""
    return list(engine.client.run(gemm_rates, (size, size, size), rounds).values())

"""Seconds of the neighbour graph and the geodesics of landmark Isomap, stage by stage, on two single-thread workers.

    python -m benchmarks.isomap_graph [--rows 131072 531720] [--wide] [--local]

Rows are the demo's patches, a sample of them drawn by seed where fewer are asked for; `--wide` adds a million
generated rows of 32 features. Budgets: 30 s for 131,072 patches with 500 landmarks and 10 neighbours at recall .95,
240 s for all. CPU seconds are those of this process and the workers together; half of them is about what the stage
takes on two idle cores.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from benchmarks.blocks import own_peak_rss
from benchmarks.data import patches, write_generated
from benchmarks.workers import two_workers
from landmark_ops.engine.cluster import ClusterEngine
from landmark_ops.engine.threads import LocalEngine
from landmark_ops.neighbors.geodesics import geodesic_support, landmark_geodesics
from landmark_ops.neighbors.graph import neighbor_graph
from landmark_ops.neighbors.graph_bytes import graph_bytes
from landmark_ops.numerics.metric import Metric
from landmark_ops.stores.sources.rows import Rows
from landmark_ops.stores.sources.source import open_rows

LANDMARKS, NEIGHBORS = 500, 10
NEW_ROWS = 2048
WIDE = (1_000_000, 32)


def main() -> None:
    """Measure what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rows", type=int, nargs="*", default=[131_072, 531_720])
    parser.add_argument("--wide", action="store_true", help="a million generated rows of 32 features too")
    parser.add_argument("--local", action="store_true", help="threads of this process instead of worker processes")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, engines(given.local) as engine:
        source = patches(Path(folder), quick=False)
        rows = open_rows(source.uri, array=source.array)
        for count in given.rows:
            drawn = np.sort(np.random.default_rng(0).choice(rows.n, count, replace=False))
            measure(rows, None if count == rows.n else drawn, engine, Path(folder) / f"scratch-{count}")
        if given.wide:
            source = write_generated(Path(folder) / "wide.zarr", *WIDE, 65_536)
            measure(open_rows(source.uri, array=source.array), None, engine, Path(folder) / "scratch-wide")


@contextmanager
def engines(local: bool) -> Iterator[ClusterEngine | LocalEngine]:
    """Two workers: threads or processes."""
    if local:
        yield LocalEngine(2)
        return
    with two_workers() as engine:
        yield engine


def cpu_seconds(engine: ClusterEngine | LocalEngine) -> float:
    """Of this process, and of the workers where they are others."""
    own = time.process_time()
    return own if isinstance(engine, LocalEngine) else own + sum(engine.client.run(time.process_time).values())


def measure(rows: Rows, support: np.ndarray | None, engine: ClusterEngine | LocalEngine, scratch: Path) -> None:
    """Print the seconds of each stage over a support, and the planned and the real memory."""
    s = rows.n if support is None else len(support)
    landmarks = np.sort(np.random.default_rng(1).choice(s, LANDMARKS, replace=False))
    print(f"\n{s:,} x {rows.d}, {LANDMARKS} landmarks, {NEIGHBORS} neighbours; load {os.getloadavg()[0]:.1f}")

    @contextmanager
    def stage(name: str) -> Iterator[None]:
        began, cpu = time.perf_counter(), cpu_seconds(engine)
        yield
        wall = time.perf_counter() - began
        print(f"  {name:<22} {wall:7.1f} s wall {cpu_seconds(engine) - cpu:7.1f} s CPU", flush=True)

    with stage("graph"):
        graph = neighbor_graph(rows, support, NEIGHBORS, Metric("euclidean"), engine, scratch_uri=str(scratch))
    print(f"    {graph.note}")
    with stage("geodesics"):
        found = landmark_geodesics(graph, landmarks, engine, policy="join", scratch_uri=str(scratch), source=rows)
    print(f"    {found.note}")
    with stage("support beside the map"):
        block = geodesic_support(rows, graph, found, landmarks, engine)
    new = rows.read(0, NEW_ROWS)
    with stage(f"place {NEW_ROWS} new rows"):
        block.sq_block(new)
    planned = graph_bytes(s, rows.d, NEIGHBORS, LANDMARKS)
    peaks = [] if isinstance(engine, LocalEngine) else sorted(engine.client.run(own_peak_rss).values())
    print(f"  planned MiB: worker {planned.worker >> 20}, flow {planned.flow >> 20}, scratch {planned.scratch >> 20}")
    print(f"  peak MiB so far: workers {[peak >> 20 for peak in peaks]}, this process {own_peak_rss() >> 20}")


if __name__ == "__main__":
    main()

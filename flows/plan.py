"""What a run would do, before it does it: tasks, bytes, peak memory per worker, and seconds from a measured sample."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

import numpy as np

from flows.methods import make_method
from flows.progress import duration
from landmark_ops.blocks.extension import GEODESIC_ROWS
from landmark_ops.blocks.ranges import ranges, task_rows
from landmark_ops.config import EmbedConfig
from landmark_ops.errors import InputError
from landmark_ops.method_config import (
    AnyMethodConfig,
    KernelConfig,
    LandmarkIsomapConfig,
    LandmarkMDSConfig,
    LocallyLinearLandmarksConfig,
    NystroemRidgeConfig,
    SparseGPConfig,
    SpectralClusteringConfig,
    width,
)
from landmark_ops.numerics.distances import Array
from landmark_ops.numerics.evaluation import TILE_ROWS, compute_dtype
from landmark_ops.numerics.geodesic_block import SUPPORT_ROWS
from landmark_ops.numerics.moments import SUM_ROWS
from landmark_ops.stores.rows import Rows

DEFAULT_LANDMARKS = 1000
# A worker before its first task: 106 MB measured with zarr sources, and some 100 more once pyarrow is imported.
WORKER_BYTES = 256 << 20
FLOW_BYTES = 400 << 20  # the flow's process before it holds anything: Prefect, the scheduler, matplotlib
SAMPLE_ROWS = 20_000
MOST_LANDMARKS = 10_000  # where a tolerance decides how many
#: Passes over the rows that selection makes; uniform and given read the rows they need, which lie in most chunks.
PASSES = {
    "uniform": 1, "given": 1, "maxmin": 1, "kmeans": 11, "leverage": 3, "bless": 3, "rpcholesky": 8, "greedy": 2,
    "active": 1,
}  # fmt: skip


@dataclass(frozen=True)
class Plan:
    """Sizes of one run. Bytes are decoded bytes; peak memory is per worker, everything included."""

    n: int
    d: int
    n_landmarks: int
    n_components: int
    step: int
    tasks: int
    passes: int
    read_bytes: int
    write_bytes: int
    task_bytes: int
    peak_bytes: int
    flow_bytes: int  # of the flow's own process, where it holds a graph
    scratch_bytes: int  # on disk while the run lasts

    def describe(self) -> list[tuple[str, str]]:
        """Label and value, for people."""
        return [
            ("rows", f"{self.n:,} of {self.d} features"),
            ("landmarks", f"{self.n_landmarks:,} → {self.n_components} components"),
            ("tasks", f"{self.tasks:,} per pass, {self.step:,} rows each"),
            ("read", f"{size(self.read_bytes)} decoded, in {self.passes} pass{'es' if self.passes > 1 else ''}"),
            ("write", size(self.write_bytes)),
            ("peak memory per worker", size(self.peak_bytes)),
            *([("memory of the flow", size(FLOW_BYTES + self.flow_bytes))] if self.flow_bytes else []),
            *([("scratch while it runs", size(self.scratch_bytes))] if self.scratch_bytes else []),
        ]


def landmark_count(config: EmbedConfig, n: int, given: int | None = None) -> int:
    """How many landmarks: as configured or given, else 1,000 or every row where there are fewer."""
    default = DEFAULT_LANDMARKS if config.landmarks.tolerance is None else MOST_LANDMARKS
    return given or config.landmarks.count or min(default, n)


def make_plan(config: EmbedConfig, rows: Rows, given: int | None = None) -> Plan:
    """Sizes of the run `config` describes over `rows`; `given` is the number of landmarks of strategy `given`."""
    m = landmark_count(config, rows.n, given)
    methods = config.all_methods
    k = sum(width(method, m) for method in methods)
    step = task_rows(rows, max(width(method, m) for method in methods))
    itemsize = compute_dtype(rows.dtype).itemsize
    summing = max(make_method(method).passes for method in methods)
    passes = PASSES[config.landmarks.strategy] + summing + 1
    row_bytes = rows.d * rows.dtype.itemsize
    task = (
        2 * max(step, min(rows.chunk_rows, rows.n)) * row_bytes  # a chunk and its decoded copy
        + step * (k + len(methods)) * (itemsize + 4 + 4)  # coordinates, in float32, and as written
        + TILE_ROWS * (rows.d + m) * 3 * 8  # one tile and its temporaries
        + m * (rows.d + k) * (8 + 2 * itemsize)  # the map, as stored and as prepared
    )
    flow = scratch = 0
    for method in methods:
        if isinstance(method, KernelConfig) and make_method(method).passes:  # (m, m) sums, and their tiles
            wide = 8 if isinstance(method, SparseGPConfig | NystroemRidgeConfig) else itemsize
            task += m * m * (8 + wide) * 2 + SUM_ROWS * m * wide * 2
        if isinstance(method, SpectralClusteringConfig):  # coordinates in float64, and distances to the centroids
            task += step * (2 * width(method, m) + 3 * method.n_clusters) * 8
        if isinstance(method, LandmarkIsomapConfig | LocallyLinearLandmarksConfig):
            from landmark_ops.blocks.geodesics import graph_bytes

            graph = graph_bytes(min(rows.n, method.max_support), rows.d, method.n_neighbors, m)
            # rows are placed by parts of their geodesics, with the map and its support in memory, and hashed
            support = min(rows.n, SUPPORT_ROWS) * (m + rows.d) * 4
            task = max(task + 3 * GEODESIC_ROWS * m * 4 + 4 * support, graph.worker)
            flow, scratch = max(flow, graph.flow), scratch + graph.scratch
    return Plan(
        rows.n,
        rows.d,
        m,
        k,
        step,
        len(ranges(rows.n, step)),
        passes,
        passes * rows.nbytes,
        rows.n * (k + len(methods)) * 4,
        task,
        WORKER_BYTES + task,
        flow,
        scratch,
    )


def check_memory(plan: Plan, rows: Rows, limit: int) -> None:
    """InputError where a worker with `limit` bytes for each of its threads cannot hold a task of this plan."""
    peak = plan.peak_bytes
    if peak <= limit:
        return
    chunk = rows.chunk_rows * rows.d * rows.dtype.itemsize
    remedy = f"raise cluster.memory to at least {size(int(peak * 1.05))}"
    if chunk > plan.task_bytes / 4:
        remedy += f", or store the source in chunks smaller than {rows.chunk_rows:,} rows"
    raise InputError(
        f"memory: a task over {plan.step:,} rows (source chunks of {size(chunk)}) needs {size(plan.task_bytes)}, "
        f"a worker {size(peak)} in all, and it has {size(limit)}: {remedy}"
    )


def expected_seconds(plan: Plan, config: EmbedConfig, rows: Rows, workers: int) -> float:
    """Seconds of the run on `workers` workers, from reading and placing a short sample of this source here.

    A first guess (±50 %): selection is costed as passes of reading, clusters and S3 may differ from this process.
    """
    from threadpoolctl import threadpool_limits

    count = min(max(SAMPLE_ROWS // max(rows.chunk_rows, 1), 1) * rows.chunk_rows, rows.n, plan.step)
    with threadpool_limits(1, user_api="blas"):
        began = time.perf_counter()
        X = rows.read(0, count)
        reading = (time.perf_counter() - began) / count
        good = X[np.isfinite(X).all(axis=1)] if X.dtype.kind == "f" else X
        Z = good[np.linspace(0, len(good) - 1, min(plan.n_landmarks, len(good))).astype(int)]
        few = X[: max(1, min(count, 4096))]
        placing = sum(
            seconds_per_row(method, Z, few) * (make_method(method).passes + 1) for method in config.all_methods
        )
    busy = rows.n * (plan.passes * reading + placing)
    return busy / max(1, min(workers, plan.tasks)) + 0.003 * plan.tasks * plan.passes


def seconds_per_row(config: AnyMethodConfig, Z: Array, few: Array) -> float:
    """Seconds to place one row by the blocks of a method: measured on its kernel's features, or on Landmark MDS."""
    from landmark_ops.methods.landmark_mds import LandmarkMDSMethod
    from landmark_ops.methods.nystroem import NystroemMethod

    dtype = compute_dtype(few.dtype)
    if isinstance(config, KernelConfig):
        fitted = NystroemMethod(None, **config.model_dump(include=set(KernelConfig.model_fields))).start(Z, dtype).map
        k = min(width(config, len(Z)), fitted.n_components)
        fitted = replace(fitted, readout=fitted.readout[:, :k], offset=fitted.offset[:k])
    elif isinstance(config, LandmarkMDSConfig):
        fitted = LandmarkMDSMethod(config.n_components, config.metric, config.metric_params).start(Z, dtype).map
    else:
        fitted = LandmarkMDSMethod(1, getattr(config, "metric", "euclidean")).start(Z, dtype).map
    fitted(few[:1])  # prepare the factors outside the clock
    began = time.perf_counter()
    fitted(few)
    return (time.perf_counter() - began) / len(few)


def report_lines(plan: Plan, seconds: float, workers: int, limit: int) -> list[str]:
    """The plan as aligned lines for the terminal."""
    graph = "more for the graph and its paths, which are not measured here, " if plan.scratch_bytes else ""
    pairs = [
        *plan.describe(),
        ("workers", f"{workers} with {size(limit)} each"),
        ("expected", f"about {duration(seconds)} over the rows, {graph}and some 10 s to start, measure and report"),
    ]
    wide = max(len(label) for label, _ in pairs)
    return [f"{label:<{wide}}  {value}" for label, value in pairs]


def size(count: int | float) -> str:
    """Bytes for people: 512 B, 3.4 MiB, 1.2 GiB."""
    value = float(count)
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if value < 1024 or unit == "TiB":
            return f"{value:.0f} {unit}" if unit == "B" or value >= 100 else f"{value:.1f} {unit}"
        value /= 1024
    raise AssertionError("unreachable")

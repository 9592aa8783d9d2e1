"""What a run would do, before it does it: tasks, bytes, peak memory per worker, and seconds from a measured sample."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from flows.progress import duration
from landmark_ops.blocks.ranges import ranges, task_rows
from landmark_ops.config import EmbedConfig
from landmark_ops.errors import InputError
from landmark_ops.numerics.landmark_map import TILE_ROWS, compute_dtype
from landmark_ops.stores.rows import Rows

DEFAULT_LANDMARKS = 1000
# A worker before its first task: 106 MB measured with zarr sources, and some 100 more once pyarrow is imported.
WORKER_BYTES = 240 << 20
SAMPLE_ROWS = 20_000


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

    def describe(self) -> list[tuple[str, str]]:
        """Label and value, for people."""
        return [
            ("rows", f"{self.n:,} of {self.d} features"),
            ("landmarks", f"{self.n_landmarks:,} → {self.n_components} components"),
            ("tasks", f"{self.tasks:,} per pass, {self.step:,} rows each"),
            ("read", f"{size(self.read_bytes)} decoded, in {self.passes} pass{'es' if self.passes > 1 else ''}"),
            ("write", size(self.write_bytes)),
            ("peak memory per worker", size(self.peak_bytes)),
        ]


def landmark_count(config: EmbedConfig, n: int, given: int | None = None) -> int:
    """How many landmarks: as configured or given, else 1,000 or every row where there are fewer."""
    return given or config.landmarks.count or min(DEFAULT_LANDMARKS, n)


def make_plan(config: EmbedConfig, rows: Rows, given: int | None = None) -> Plan:
    """Sizes of the run `config` describes over `rows`; `given` is the number of landmarks of strategy `given`."""
    m = landmark_count(config, rows.n, given)
    k = config.method.n_components or m
    step = task_rows(rows, k)
    width = compute_dtype(rows.dtype).itemsize
    # uniform and given read the rows they need, which lie in nearly every chunk: one pass like any other
    selecting = {"uniform": 1, "given": 1, "maxmin": 1, "kmeans": 11}[config.landmarks.strategy]
    kernel = config.method.name != "landmark_mds"
    moments = config.method.name == "nystroem_kernel_pca" or getattr(config.method, "align", False)
    passes = selecting + bool(moments) + 1
    row_bytes = rows.d * rows.dtype.itemsize
    task = (
        2 * max(step, min(rows.chunk_rows, rows.n)) * row_bytes  # a chunk and its decoded copy
        + step * (k + 1) * (width + 4 + 4)  # coordinates, in float32, and as written
        + TILE_ROWS * (rows.d + m) * 3 * 8  # one tile and its temporaries
        + m * (rows.d + k) * (8 + 2 * width)  # the map, as stored and as prepared
    )
    if moments and kernel:
        task += m * m * (8 + width) * 2 + 4096 * m * width * 2
    return Plan(
        rows.n,
        rows.d,
        m,
        k,
        step,
        len(ranges(rows.n, step)),
        passes,
        passes * rows.nbytes,
        rows.n * (k + 1) * 4,
        task,
        WORKER_BYTES + task,
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

    from flows.methods import make_method

    count = min(max(SAMPLE_ROWS // max(rows.chunk_rows, 1), 1) * rows.chunk_rows, rows.n, plan.step)
    method = make_method(config.method)
    with threadpool_limits(1, user_api="blas"):
        began = time.perf_counter()
        X = rows.read(0, count)
        reading = time.perf_counter() - began
        good = X[np.isfinite(X).all(axis=1)] if X.dtype.kind == "f" else X
        Z = good[np.linspace(0, len(good) - 1, min(plan.n_landmarks, len(good))).astype(int)]
        began = time.perf_counter()
        solution = method.start(Z, compute_dtype(rows.dtype))
        solving = time.perf_counter() - began
        few = X[: max(1, min(count, 4096))]
        solution.map(few[:1])  # prepare the factors outside the clock
        began = time.perf_counter()
        solution.map(few)
        placing = (time.perf_counter() - began) / len(few)
    busy = rows.n * (plan.passes * reading / count + placing * (2 if method.needs_moments else 1))
    return busy / max(1, min(workers, plan.tasks)) + solving + 0.003 * plan.tasks * plan.passes


def report_lines(plan: Plan, seconds: float, workers: int, limit: int) -> list[str]:
    """The plan as aligned lines for the terminal."""
    pairs = [
        *plan.describe(),
        ("workers", f"{workers} with {size(limit)} each"),
        ("expected", f"about {duration(seconds)} over the rows, and some 10 s to start, measure and report"),
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

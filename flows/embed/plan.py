"""What a run would do, before it does it: tasks, bytes, peak memory, and seconds from a measured sample."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from flows.base.machine import machine_memory, on_threads, worker_count, worker_memory
from landmark_ops.configs.embed import ClusterConfig, EmbedConfig
from landmark_ops.errors import InputError
from landmark_ops.maps.evaluation import TILE_ROWS, compute_dtype
from landmark_ops.maps.landmark_map import LandmarkMap
from landmark_ops.numerics.distances import Array
from landmark_ops.passes.ranges import ranges, task_rows
from landmark_ops.selection.strategy import STRATEGIES
from landmark_ops.solver.section import Sizes
from landmark_ops.stores.sources.rows import Rows
from landmark_ops.units import duration, size

DEFAULT_LANDMARKS = 1000
# A worker before its first task: 106 MB measured with zarr sources, and some 100 more once pyarrow is imported.
WORKER_BYTES = 256 << 20
# The flow's process before it holds anything: 230 MiB measured, by Prefect, the scheduler, matplotlib.
FLOW_BYTES = 320 << 20
SERVER_BYTES = 256 << 20  # a temporary Prefect server: 200 MiB measured
SQUARES = 6  # float64 matrices (m, m) that a solve holds at a time: distances, centred, symmetric, vectors, workspace
SAMPLES = 4  # copies of the sampled rows: as they came, put together, drawn in another order, sent
SAMPLE_ROWS = 20_000
MOST_LANDMARKS = 10_000  # where a tolerance decides how many


@dataclass(frozen=True)
class Plan:
    """Sizes of one run. Bytes are decoded bytes; peaks are of whole processes, everything included."""

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
    peak_bytes: int  # of one worker process
    flow_bytes: int  # of the flow's own process
    threads: int  # workers that are threads of it; 0: they are processes
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
            ("peak memory of flow", size(self.flow_bytes)),
            ("peak memory of server", f"{size(SERVER_BYTES)}, where a temporary Prefect server is started"),
            *([("scratch while it runs", size(self.scratch_bytes))] if self.scratch_bytes else []),
        ]

    def total_bytes(self, workers: int) -> int:
        """Peak memory of all processes on one machine, with a temporary Prefect server."""
        return self.flow_bytes + SERVER_BYTES + (0 if self.threads else workers * self.peak_bytes)


def landmark_count(config: EmbedConfig, n: int, given: int | None = None) -> int:
    """How many landmarks: as configured or given, else 1,000 or every row where there are fewer."""
    default = DEFAULT_LANDMARKS if config.landmarks.tolerance is None else MOST_LANDMARKS
    return given or config.landmarks.count or min(default, n)


def make_plan(config: EmbedConfig, rows: Rows, given: int | None = None, fitted: LandmarkMap | None = None) -> Plan:
    """Sizes of the run `config` describes over `rows`.

    `given` is the number of landmarks of strategy `given`; by a `fitted` map rows are placed, and nothing is solved.
    """
    methods = config.all_methods
    if fitted is None:
        m = landmark_count(config, rows.n, given)
        k = sum(method.width(m) for method in methods)
        passes = STRATEGIES[config.landmarks.strategy].passes + max(method.make().passes for method in methods) + 1
    else:
        m, k, passes = fitted.n_landmarks, fitted.n_components, 1
    # as the fit of a map reckoned: products over the same ranges of rows round alike
    step = task_rows(rows, max(method.width(m) for method in methods))
    itemsize = compute_dtype(rows.dtype).itemsize
    row_bytes = rows.d * rows.dtype.itemsize
    task = (
        2 * max(step, min(rows.chunk_rows, rows.n)) * row_bytes  # a chunk and its decoded copy
        + step * (k + len(methods)) * (itemsize + 4 + 4)  # coordinates, in float32, and as written
        + TILE_ROWS * (rows.d + m) * 3 * 8  # one tile and its temporaries
        + m * (rows.d + k) * (8 + 2 * itemsize)  # the map, as stored and as prepared
    )
    flow = scratch = 0
    if fitted is None:
        for method in methods:
            cost = method.cost(Sizes(rows.n, rows.d, m, step, itemsize))
            task = max(task + cost.task, cost.worker)
            flow, scratch = max(flow, cost.flow), scratch + cost.scratch
    else:  # the map with all that it holds: factors of variances, support rows
        task += sum(array.nbytes for array in fitted.to_state()[0].values()) * (8 + 2 * itemsize) // 8
    threads = worker_count(config.cluster) if on_threads(config.cluster, rows.nbytes) else 0
    sample = min(config.report.sample, rows.n)
    squares = SQUARES if fitted is None else 0
    held = m * m * 8 * squares + m * rows.d * 8 * 2 + sample * (row_bytes + k * 4) * SAMPLES
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
        FLOW_BYTES + max(flow, held) + threads * task,
        threads,
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


def check_local(plan: Plan, rows: Rows, cluster: ClusterConfig) -> None:
    """InputError where the run cannot fit this machine; a cluster by address has its own memory, asked for later."""
    if cluster.address is None:
        check_memory(plan, rows, worker_memory(cluster))
        check_machine(plan, worker_count(cluster), machine_memory())


def check_machine(plan: Plan, workers: int, memory: int) -> None:
    """InputError where this machine, with `memory` bytes, cannot hold `workers` local workers and all else of a run."""
    total = plan.total_bytes(workers)
    if total <= memory:
        return
    each = plan.task_bytes if plan.threads else plan.peak_bytes
    where = " (threads of the flow)" if plan.threads else ""
    fit = workers - -(-(total - memory) // each)
    remedy = f"set cluster.workers: {fit}" if fit > 0 else "set a smaller landmarks.count, or take a larger machine"
    raise InputError(
        f"memory: {workers} worker{'s' if workers > 1 else ''} of {size(each)} each{where}, the flow's process of "
        f"{size(plan.flow_bytes)} and the Prefect server of {size(SERVER_BYTES)} need {size(total)} in all, this "
        f"machine has {size(memory)}: {remedy}"
    )


def expected_seconds(
    plan: Plan, config: EmbedConfig, rows: Rows, workers: int, fitted: LandmarkMap | None = None
) -> float:
    """Seconds of the run on `workers` workers, from reading and placing a short sample of this source here.

    A first guess (±50 %): selection is costed as passes of reading, clusters and S3 may differ from this process.
    """
    from threadpoolctl import threadpool_limits

    count = min(max(SAMPLE_ROWS // max(rows.chunk_rows, 1), 1) * rows.chunk_rows, rows.n, plan.step)
    with threadpool_limits(1, user_api="blas"):
        began = time.perf_counter()
        X = rows.read(0, count)
        reading = (time.perf_counter() - began) / count
        few = X[: max(1, min(count, 4096))]
        good = X[np.isfinite(X).all(axis=1)] if X.dtype.kind == "f" else X
        Z = good[np.linspace(0, len(good) - 1, min(plan.n_landmarks, len(good))).astype(int)]
        if fitted is None:
            dtype = compute_dtype(few.dtype)
            maps = [(method.timed_map(Z, dtype), method.make().passes + 1) for method in config.all_methods]
        else:
            maps = [(fitted, 1)]
        placing = sum(seconds_per_row(one, few) * passes for one, passes in maps)
    busy = rows.n * (plan.passes * reading + placing)
    return busy / max(1, min(workers, plan.tasks)) + 0.003 * plan.tasks * plan.passes


def seconds_per_row(fitted: LandmarkMap, few: Array) -> float:
    """Seconds to place one row by a map, that of a method or another that costs about the same."""
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

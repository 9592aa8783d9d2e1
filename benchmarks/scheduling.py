"""What a chunk costs beside its work: 10,000 tasks that do nothing, through the engine, on 2 workers."""

from __future__ import annotations

from pathlib import Path

from benchmarks.blocks import no_work
from benchmarks.result import Budget, Line, Result
from benchmarks.timing import say, seconds_of
from benchmarks.workers import two_workers
from landmark_ops.engine.cluster import ClusterEngine
from landmark_ops.passes.ranges import ranges
from landmark_ops.row_range import RowRange

TASKS, QUICK_TASKS = 10_000, 200
WARM_TASKS = 100
BUDGET = Budget(high=2.5)


def measure(quick: bool, folder: Path) -> Result:
    """Milliseconds per task of `ClusterEngine.imap`, and of Dask's own client.map and gather over as many."""
    tasks = QUICK_TASKS if quick else TASKS
    items = ranges(tasks, 1)
    with two_workers() as engine:
        list(engine.imap(no_work, items[:WARM_TASKS]))
        say(f"scheduling: {tasks:,} tasks through the engine")
        seconds = seconds_of(lambda: list(engine.imap(no_work, items)))
        say(f"scheduling: {tasks:,} tasks through client.map")
        bare = seconds_of(lambda: map_and_gather(engine, items))
    lines = [
        Line(f"engine, {tasks:,} empty chunks", 1e3 * seconds / tasks, "ms/chunk", BUDGET),
        Line(
            f"Dask client.map and gather, {tasks:,} empty tasks",
            1e3 * bare / tasks,
            "ms/task",
            note=f"engine takes {seconds / bare:.2f} ×; here all tasks exist at once",
        ),
    ]
    return Result("scheduling", "Scheduling, 2 workers", lines, {"tasks": tasks, "seconds": seconds, "bare": bare})


def map_and_gather(engine: ClusterEngine, items: list[RowRange]) -> None:
    """The same work as Dask would have it: every task submitted at once, all results fetched at the end."""
    futures = engine.client.map(no_work, items, pure=False)
    engine.client.gather(futures)

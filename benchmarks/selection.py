"""What choosing landmarks costs, in passes: one pass is the whole n × m kernel block in float32, read and evaluated.

On the 2 workers of a run, in turn. rpcholesky is also told per round, each of which is one pass over all rows that
solves with the landmarks it has so far beside evaluating the kernel.
"""

from __future__ import annotations

import time
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from benchmarks.data import sampled_patches
from benchmarks.result import Budget, Line, Result, number
from benchmarks.timing import say, seconds_of
from benchmarks.workers import two_workers
from landmark_ops.engine.cluster import ClusterEngine
from landmark_ops.numerics.distances import Array
from landmark_ops.numerics.kernel import Kernel, kernel_block, resolve_kernel
from landmark_ops.numerics.metric import Metric
from landmark_ops.row_range import RowRange
from landmark_ops.selection.probe import probe_rows
from landmark_ops.selection.request import Request
from landmark_ops.selection.residuals import tile_rows
from landmark_ops.selection.selection import select
from landmark_ops.selection.strategy import STRATEGIES, strategies
from landmark_ops.selection.sweep import kernel_items
from landmark_ops.stores.sources.rows import Rows
from landmark_ops.stores.sources.source import open_rows

N, M = 131_072, 1000
ROUNDS = 3  # of the pass and of rpcholesky; the others run once
ROUND = Budget(high=2)
REFERENCE = "rpcholesky"


def measure(quick: bool, folder: Path) -> Result:
    """Seconds of every strategy over those of one kernel block pass."""
    n, m, rounds = (8192, 100, 1) if quick else (N, M, ROUNDS)
    source = sampled_patches(folder, n, quick)
    rows = open_rows(source.uri, array=source.array)
    notes: dict[str, str] = {}
    rpcholesky: list[list[float]] = []
    passes: list[float] = []
    whole: dict[str, list[float]] = {one.name: [] for one in strategies() if not one.takes_own}
    with two_workers() as engine:
        probe = probe_rows(rows, 0, engine)
        kernel = resolve_kernel("rbf", probe)
        Z = select("uniform", Request(rows, m, 0, engine)).points
        seconds_of(lambda: block_pass(engine, rows, Z, kernel))  # workers import what they need
        choose(REFERENCE, rows, min(m, 50), kernel, engine)
        for turn in range(rounds):
            say(f"selection: kernel block pass and rpcholesky, round {turn + 1} of {rounds}")
            passes.append(seconds_of(lambda: block_pass(engine, rows, Z, kernel)))
            spent, marks, notes[REFERENCE] = choose(REFERENCE, rows, m, kernel, engine)
            whole[REFERENCE].append(spent)
            rpcholesky.append(marks)
        for name, samples in whole.items():
            if name != REFERENCE:
                say(f"selection: {name}")
                spent, _, notes[name] = choose(name, rows, m, kernel, engine)
                samples.append(spent)
                passes.append(seconds_of(lambda: block_pass(engine, rows, Z, kernel)))
    one = median(passes)
    each = [median(spent) for spent in zip(*rpcholesky, strict=True)]  # rounds are the same at every call: one seed
    shown = " + ".join(number(spent) for spent in each)
    lines = [
        Line(f"kernel block pass, {n:,} × {rows.d}, m={m}, float32", one, "s", note=f"median of {len(passes)}"),
        Line(
            f"rpcholesky per round, of {len(each)} / pass",
            sum(each) / len(each) / one,
            "",
            ROUND,
            f"{shown} s; the dearest {number(max(each) / one)} passes",
        ),
    ]
    for name, samples in whole.items():
        note = f"{number(median(samples))} s; {notes[name].partition(': ')[2].partition(';')[0]}"
        lines.append(Line(f"{name} / pass", median(samples) / one, "", note=note))
    raw: dict[str, Any] = {
        "n": n,
        "d": rows.d,
        "m": m,
        "gamma": kernel.gamma,
        "pass_seconds": passes,
        "seconds": whole,
        "rpcholesky_round_seconds": rpcholesky,
        "notes": notes,
    }
    return Result("selection", "Choosing landmarks, in kernel block passes, 2 workers", lines, raw)


def block_pass(engine: ClusterEngine, rows: Rows, Z: Array, kernel: Kernel) -> float:
    """Evaluate all n × m kernel values once, in the ranges rpcholesky works on; returns their sum."""
    items = kernel_items(rows.n, rows.d)
    return sum(part for _, part in engine.imap(kernel_pass, items, rows, Z, kernel))


def kernel_pass(item: RowRange, rows: Rows, Z: Array, kernel: Kernel) -> float:
    """Read one range and evaluate its block against landmarks Z in float32, tile by tile; the sum goes back."""
    X = rows.read(*item).astype(np.float32, copy=False)
    Z = Z.astype(np.float32, copy=False)
    step = tile_rows(len(Z), rows.d)
    return float(sum(kernel_block(X[at : at + step], Z, kernel).sum(dtype=np.float64) for at in range(0, len(X), step)))


def choose(name: str, rows: Rows, m: int, kernel: Kernel, engine: ClusterEngine) -> tuple[float, list[float], str]:
    """Seconds of one choice, those between its announcements of progress (rounds of rpcholesky), and its note."""
    marks: list[float] = []
    uses_kernel = STRATEGIES[name].by_kernel
    began = time.perf_counter()
    ask = Request(
        rows,
        m,
        0,
        engine,
        None if uses_kernel else Metric("euclidean"),
        planned=lambda total: marks.append(time.perf_counter()),
        kernel=kernel if uses_kernel else None,
    )
    chosen = select(name, ask)
    ended = time.perf_counter()
    return ended - began, [stop - start for start, stop in pairwise(marks)], chosen.note

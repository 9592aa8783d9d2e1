"""Ten times the rows: ten times the time, and the same memory.

Each size and method gets a fresh cluster. Its first run is not timed (workers import what they need) and peak memory
is read after the last: VmHWM of each worker process. The source has chunks of 131,072 rows, 32 MiB, so that tasks are
equally large at both sizes; in smaller chunks a source below 256 MiB is cut into smaller tasks on purpose.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from benchmarks.data import write_generated
from benchmarks.pipeline import Embedded, configure, embed
from benchmarks.result import Budget, Line, Result, number
from benchmarks.timing import say
from benchmarks.workers import peak_rss, two_workers
from landmark_ops.configs.embed import SourceConfig

D, K, M = 64, 10, 500
CHUNK_ROWS = 1 << 17
CHUNKS = 4  # of the smaller source: 524,288 rows
FACTOR = 10
RUNS = {1: 5, FACTOR: 2}  # timed runs by size
TIME = Budget(0.85, 1.15)
MEMORY = Budget(0.95, 1.05)
PLANNED = Budget(high=1)
METHODS: dict[str, dict[str, object]] = {
    "LMDS": {"name": "landmark_mds", "n_components": K},
    "RBF Nystrom": {"name": "nystroem", "n_components": K},
}


class Measured(NamedTuple):
    """One method on one size: timed runs, and bytes."""

    runs: list[Embedded]
    peak: list[int]  # per worker, after the last run
    first_peak: list[int]  # per worker, after the first
    planned: int

    @property
    def extend(self) -> float:
        """Median seconds of the extend stage."""
        return median(run.stages["extend"] for run in self.runs)

    @property
    def whole(self) -> float:
        """Median seconds of the whole pipeline."""
        return median(run.seconds for run in self.runs)


def measure(quick: bool, folder: Path) -> Result:
    """Ratios of time and of peak worker memory between the larger and the smaller source, per method."""
    chunk, m = (1024, 50) if quick else (CHUNK_ROWS, M)
    methods = dict(list(METHODS.items())[:1]) if quick else METHODS
    found: dict[str, dict[int, Measured]] = {name: {} for name in methods}
    for factor in (1, FACTOR):
        n = CHUNKS * chunk * factor
        say(f"scaling: writing {n:,} rows")
        source = write_generated(folder / "scaling.zarr", n, D, chunk)
        for name in methods:
            say(f"scaling: {name}, {n:,} rows")
            runs = 1 if quick else RUNS[factor]
            found[name][factor] = measure_one(source, folder, methods[name], m, runs)
        shutil.rmtree(source.uri)
    lines = [line for name in methods for line in _lines(name, found[name], CHUNKS * chunk, m)]
    raw: dict[str, Any] = {
        "d": D,
        "k": K,
        "m": m,
        "n": [CHUNKS * chunk, CHUNKS * chunk * FACTOR],
        "chunk_rows": chunk,
        "samples": {name: [_raw(sizes[factor]) for factor in (1, FACTOR)] for name, sizes in found.items()},
    }
    return Result("scaling", f"{FACTOR} × the rows, Zarr → Zarr, 2 workers", lines, raw)


def measure_one(source: SourceConfig, folder: Path, method: dict[str, object], m: int, runs: int) -> Measured:
    """Embed `source` once untimed and `runs` times timed on a fresh cluster."""
    config = configure(source, folder / "scaling-out.zarr", method, m)
    with two_workers() as engine:
        plan = embed(config, engine).plan
        first = peak_rss(engine)
        timed = [embed(config, engine) for _ in range(runs)]
        return Measured(timed, peak_rss(engine), first, plan.peak_bytes)


def _lines(name: str, sizes: dict[int, Measured], n: int, m: int) -> list[Line]:
    small, large = sizes[1], sizes[FACTOR]
    peaks = max(small.peak), max(large.peak)
    sized = f"{name}, {n * FACTOR:,} / {n:,} × {D}, m={m}"
    return [
        Line(
            f"{sized}: extend, time / {FACTOR}",
            large.extend / small.extend / FACTOR,
            budget=TIME,
            note=f"{number(large.extend)} s / {number(small.extend)} s",
        ),
        Line(
            f"{name}: whole pipeline, time / {FACTOR}",
            large.whole / small.whole / FACTOR,
            note=f"{number(large.whole)} s / {number(small.whole)} s; selection and solve do not grow with n",
        ),
        Line(
            f"{name}: peak memory of a worker, ratio",
            peaks[1] / peaks[0],
            budget=MEMORY,
            note=f"{_mib(peaks[1])} / {_mib(peaks[0])} MiB",
        ),
        Line(
            f"{name}: peak memory of a worker / planned",
            peaks[1] / large.planned,
            budget=PLANNED,
            note=f"planned {_mib(large.planned)} MiB",
        ),
    ]


def _raw(measured: Measured) -> dict[str, Any]:
    return {
        "seconds": [run.seconds for run in measured.runs],
        "stages": [run.stages for run in measured.runs],
        "peak_bytes": measured.peak,
        "first_peak_bytes": measured.first_peak,
        "planned_bytes": measured.planned,
    }


def _mib(size: int) -> str:
    return number(size / 2**20)

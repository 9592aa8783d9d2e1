"""Landmark Isomap from Zarr to Zarr: the whole pipeline, the graph's recall, and memory against its plan.

Every source gets a fresh process and fresh workers, whose imports are in these seconds, as they are in a user's run.
The graph of a source of more than 20,000 rows is approximate: its recall is measured in the run, on 256 sampled rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.apart import Apart, embed_apart
from benchmarks.data import patches, sampled_patches, write_generated
from benchmarks.pipeline import configure
from benchmarks.result import Budget, Line, Result, number
from benchmarks.timing import say
from landmark_ops.configs.embed import SourceConfig

M, NEIGHBORS, K = 500, 10, 10
METHOD: dict[str, object] = {
    "name": "landmark_isomap",
    "n_components": K,
    "n_neighbors": NEIGHBORS,
    "components": "join",
}
PART, WIDE = 131_072, (1_000_000, 32)
RECALL = Budget(low=0.95)
PLANNED = Budget(high=1)


class Case(NamedTuple):
    """A source and how long its embedding may take."""

    name: str
    source: SourceConfig
    limit: Budget | None


def measure(quick: bool, folder: Path) -> Result:
    """Seconds, recall and peak memory of part of the patches, of all, and of a million narrow rows."""
    m = 50 if quick else M
    lines: list[Line] = []
    raw: dict[str, Any] = {"m": m, "n_neighbors": NEIGHBORS, "k": K}
    for case in cases(quick, folder):
        say(f"isomap: {case.name}")
        found = embed_apart(configure(case.source, folder / "isomap-out.zarr", METHOD, m))
        new = lines_of(case, found, m)
        for line in new:
            say(f"isomap: {line.what}: {number(line.value)} {line.unit} {line.note}")
        lines += new
        raw[case.name] = {
            "seconds": found.run.seconds,
            "stages": found.run.stages,
            "facts": dict(found.run.facts),
            "peak_bytes_workers": found.workers,
            "peak_bytes_flow": found.flow,
            "planned_bytes_worker": found.planned_worker,
            "planned_bytes_flow": found.planned_flow,
        }
    return Result("isomap", f"Landmark Isomap, m={m}, {NEIGHBORS} neighbours, Zarr → Zarr, 2 workers", lines, raw)


def cases(quick: bool, folder: Path) -> Iterator[Case]:
    """The sources, each written when it is its turn. Quick: one, as small as an approximate graph may be."""
    if quick:
        yield Case("20,480 × 8", write_generated(folder / "isomap.zarr", 20_480, 8, 4096), None)
        return
    yield Case(f"{PART:,} × 192", sampled_patches(folder, PART, quick), Budget(high=30))
    yield Case("531,720 × 192", patches(folder, quick), Budget(high=240))
    n, d = WIDE
    yield Case(f"{n:,} × {d}", write_generated(folder / "isomap.zarr", n, d, 65_536), None)


def lines_of(case: Case, found: Apart, m: int) -> list[Line]:
    """Seconds, recall, and peaks over plans."""
    run = found.run
    shown = ", ".join(f"{name} {number(spent)}" for name, spent in run.stages.items() if spent > 0.02 * run.seconds)
    worker, flow = max(found.workers), found.flow
    return [
        Line(f"{case.name}: whole pipeline", run.seconds, "s", case.limit, shown),
        Line(f"{case.name}: graph recall", float(run.facts["graph recall"]), "", RECALL, str(run.facts["graph"])),
        Line(
            f"{case.name}: peak memory of a worker / planned",
            worker / found.planned_worker,
            "",
            PLANNED,
            f"{_mib(worker)} / {_mib(found.planned_worker)} MiB; n × m would be {_mib(run.plan.n * m * 4)} MiB",
        ),
        Line(
            f"{case.name}: peak memory of the flow / planned",
            flow / found.planned_flow,
            "",
            PLANNED,
            f"{_mib(flow)} / {_mib(found.planned_flow)} MiB",
        ),
    ]


def _mib(size: int) -> str:
    return number(size / 2**20)

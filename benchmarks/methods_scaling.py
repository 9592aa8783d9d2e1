"""Time and peak memory per worker from 10⁴ to 10⁷ generated rows, and a picture of both.

    python -m benchmarks.methods_scaling [--largest 1e6] [--picture docs/images/methods-scaling.png]

`python -m benchmarks.run methods_scaling` runs all sizes and puts the picture beside the results. Every method and size
gets a fresh process and fresh workers, which embed the smallest source first, off the clock. Landmark Isomap ends at
a million rows, the most its graph is made of.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks import scaling_picture
from benchmarks.apart import Apart, embed_apart
from benchmarks.data import write_generated
from benchmarks.machine import ROOT
from benchmarks.pipeline import configure
from benchmarks.result import Line, Result, format_table, number
from benchmarks.run import quieten
from benchmarks.scaling_picture import Point
from benchmarks.timing import say

D, M, K, CLUSTERS = 16, 500, 10, 8
CHUNK_ROWS = 1 << 16
SIZES = (10_000, 100_000, 1_000_000, 10_000_000)
MOST: dict[str, int] = {"L-Isomap": 1_000_000}
METHODS: dict[str, dict[str, object]] = {
    "LMDS": {"name": "landmark_mds", "n_components": K},
    "RBF Nystrom": {"name": "nystroem", "n_components": K},
    "spectral": {"name": "spectral_clustering", "n_clusters": CLUSTERS},
    "L-Isomap": {"name": "landmark_isomap", "n_components": K, "components": "join"},
}
PICTURE = ROOT / "benchmarks" / "results" / "methods-scaling.png"


def measure(quick: bool, folder: Path, largest: int = SIZES[-1], picture: Path | None = None) -> Result:
    """Seconds and peak bytes of each method at each size; the picture goes to `picture`, or beside the results."""
    sizes = (2000, 8000) if quick else tuple(n for n in SIZES if n <= largest)
    names = tuple(METHODS)[:1] if quick else tuple(METHODS)
    m = 50 if quick else M
    found: dict[str, list[Point]] = {name: [] for name in names}
    raw: dict[str, Any] = {"d": D, "m": m, "k": K, "clusters": CLUSTERS, "samples": {name: [] for name in names}}
    lines = []
    small = write_generated(folder / "rows-small.zarr", sizes[0], D, CHUNK_ROWS)
    for n in sizes:
        say(f"methods_scaling: writing {n:,} rows")
        source = write_generated(folder / f"rows-{n}.zarr", n, D, CHUNK_ROWS)
        for name in names:
            if n > MOST.get(name, n):
                continue
            config = configure(source, folder / "out.zarr", METHODS[name], m)
            one = embed_apart(config, configure(small, folder / "warm.zarr", METHODS[name], m))
            found[name].append(Point(n, one.run.seconds, max(one.workers) / 2**20))
            lines.append(_line(name, n, one))
            raw["samples"][name].append(_raw(n, one))
            say(f"methods_scaling: {lines[-1].what}: {number(lines[-1].value)} s, {lines[-1].note}")
    drawn = scaling_picture.draw(found, [f"2 workers, {m} landmarks, {D} features", "the larger of two workers"])
    where = picture or (folder / PICTURE.name if quick else PICTURE)
    where.parent.mkdir(parents=True, exist_ok=True)
    where.write_bytes(drawn)
    return Result("methods_scaling", f"From {sizes[0]:,} to {sizes[-1]:,} rows × {D}, m={m}, 2 workers", lines, raw)


def _line(name: str, n: int, one: Apart) -> Line:
    note = f"worker {_mib(max(one.workers))} of {_mib(one.planned_worker)} MiB planned"
    note += f", flow {_mib(one.flow)} of {_mib(one.planned_flow)}"
    return Line(f"{name}, {n:,} rows", one.run.seconds, "s", note=note)


def _raw(n: int, one: Apart) -> dict[str, Any]:
    return {
        "n": n,
        "seconds": one.run.seconds,
        "stages": one.run.stages,
        "peak_bytes_workers": one.workers,
        "peak_bytes_flow": one.flow,
        "planned_bytes_worker": one.planned_worker,
    }


def _mib(size: int) -> str:
    return number(size / 2**20)


def main() -> None:
    """Measure up to a size, print, draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--largest", type=float, default=SIZES[-1], help="stop at so many rows")
    parser.add_argument("--picture", type=Path, default=PICTURE)
    parser.add_argument("--quick", action="store_true", help="tiny sizes")
    given = parser.parse_args()
    quieten()
    began = time.perf_counter()
    with TemporaryDirectory(prefix="landmark-bench-") as folder:
        result = measure(given.quick, Path(folder), int(given.largest), given.picture)
    print(format_table([replace(result, seconds=time.perf_counter() - began)]))
    print(f"\npicture: {given.picture.name}")


if __name__ == "__main__":
    main()

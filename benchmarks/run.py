"""`python -m benchmarks.run [NAME …] [--quick]`: measure, print one table, keep every sample as JSON.

Budgets are reported, never asserted: the exit code is 0 unless a benchmark crashes.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any, cast

from benchmarks import machine
from benchmarks.result import Result, Skipped, format_table
from benchmarks.timing import say
from flows.base.prefect_server import QUIET

NAMES = (
    "gemm", "lmds", "rbf", "scheduling", "scaling", "small", "detection", "spectral", "supervised", "selection",
    "tables", "isomap", "methods_scaling",
)  # fmt: skip
RESULTS = machine.ROOT / "benchmarks" / "results"

Measure = Callable[[bool, Path], Result]


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the command line, run, print, write."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.run", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"which to run: {', '.join(NAMES)}; all if left out")
    parser.add_argument("--quick", action="store_true", help="tiny sizes: shows that they run, measures nothing")
    parser.add_argument("--results", type=Path, help="folder for the JSON; a quick run writes none without it")
    options = parser.parse_args(arguments)
    if unknown := sorted(set(options.names) - set(NAMES)):
        parser.error(f"no benchmark is called {unknown[0]}: choose from {', '.join(NAMES)}")
    described = machine.describe()
    say(machine.one_line(described))
    results = run_all(options.names or NAMES, options.quick)
    print(f"{machine.one_line(described)}\n\n{format_table(results)}")
    if options.quick:
        print("\nquick run: at these sizes fixed costs dominate, the numbers judge nothing")
    folder = options.results or (None if options.quick else RESULTS)
    if folder is not None:
        print(f"\nevery sample: {write(folder, described, results, options.quick)}")


def run_all(names: Sequence[str], quick: bool) -> list[Result]:
    """Run benchmarks by name, one after the other, in one temporary folder that is removed afterwards.

    One that cannot run here leaves a result without lines that says why.
    """
    quieten()
    results = []
    with tempfile.TemporaryDirectory(prefix="landmark-bench-") as folder:
        for name in names:
            began = time.perf_counter()
            measure = cast(Measure, import_module(f"benchmarks.{name}").measure)
            try:
                result = measure(quick, Path(folder))
            except Skipped as reason:
                say(f"{name}: skipped: {reason}")
                result = Result(name, f"{name}: skipped, {reason}", raw={"skipped": str(reason)})
            results.append(replace(result, seconds=time.perf_counter() - began))
    return results


def quieten() -> None:
    """Keep Prefect's and Dask's own log lines off the terminal."""
    for key, value in QUIET.items():
        os.environ.setdefault(key, value)
    # Before Prefect: where Prefect has set up logging first, distributed adds no handler of its own to be silenced by
    # and prints its every line through Prefect's.
    import distributed  # noqa: F401


def write(folder: Path, described: dict[str, Any], results: Sequence[Result], quick: bool) -> str:
    """Write machine and results as <date>-<commit>.json; returns the file's name within `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    marks = ("-dirty" if described["dirty"] else "") + ("-quick" if quick else "")
    path = folder / f"{described['date'][:10]}-{described['commit']}{marks}.json"
    report = {
        "machine": {**described, "load_after": [round(load, 2) for load in os.getloadavg()]},
        "quick": quick,
        "results": [result.as_json() for result in results],
    }
    path.write_text(json.dumps(report, indent=1, allow_nan=False) + "\n")
    return path.name


if __name__ == "__main__":
    main()

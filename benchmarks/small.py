"""How small a small job feels: `landmarks embed` on scikit-learn's digits, from the shell's point of view."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from benchmarks.result import Budget, Line, Result, number
from benchmarks.timing import say, seconds_of

RUNS = 3
BUDGET = Budget(high=12)
CONFIG = """\
source: {{uri: {source}}}
output: {{uri: {output}, overwrite: true}}
report: {{thumbnail: [8, 8]}}
"""


def measure(quick: bool, folder: Path) -> Result:
    """Wall seconds of the command: as after `make install`, and with nothing prepared.

    Prepared: a Prefect home that `python -m flows.base.warm` was run on, and a run before. Not prepared: an empty
    Prefect home, and no font cache of matplotlib either. Neither touches the homes of the user who runs this. Quick:
    only the latter.
    """
    from sklearn.datasets import load_digits

    X = load_digits().data
    np.save(folder / "digits.npy", X)
    config = folder / "digits.yaml"
    config.write_text(CONFIG.format(source=folder / "digits.npy", output=folder / "digits.zarr"))
    embed = [sys.executable, "-m", "flows.cli.app", "embed", str(config), "--quiet"]
    what = f"landmarks embed, digits {X.shape[0]:,} × {X.shape[1]}"
    raw: dict[str, Any] = {"n": X.shape[0], "d": X.shape[1]}
    lines = []
    if not quick:
        warm = homes(folder, "warm")
        say("small: preparing a Prefect home")
        raw["preparing"] = seconds_of(lambda: run([sys.executable, "-m", "flows.base.warm"], warm))
        run(embed, warm)
        say(f"small: {RUNS} runs")
        raw["warm"] = [seconds_of(lambda: run(embed, warm)) for _ in range(RUNS)]
        lines.append(Line(f"{what}, prepared", median(raw["warm"]), "s", BUDGET, f"median of {RUNS}"))
    say("small: first run, nothing prepared")
    cold = homes(folder, "cold")
    raw["cold"] = seconds_of(lambda: run(embed, cold))
    note = "" if quick else f"of which make install takes {number(raw['preparing'])} s upon itself"
    lines.append(Line(f"{what}, nothing prepared", raw["cold"], "s", note=note))
    return Result("small", "A small job from the command line", lines, raw)


def homes(folder: Path, name: str) -> dict[str, str]:
    """An environment whose Prefect home and matplotlib cache are fresh folders; no Prefect API is configured in it."""
    (folder / name).mkdir()  # Prefect makes its home, but not the folder that is in
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PREFECT_")}
    return {
        **environment,
        "PREFECT_HOME": str(folder / name / "prefect"),
        "MPLCONFIGDIR": str(folder / name / "matplotlib"),
    }


def run(command: list[str], environment: dict[str, str]) -> None:
    """Run one command to its end; RuntimeError with what it wrote where it fails."""
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command[1:4])} ended with code {done.returncode}: {done.stderr.strip()}")

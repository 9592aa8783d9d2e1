"""The venv that dask-ml runs in: made when first needed, apart from .venv, whose packages it would hold back."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks import machine
from benchmarks.timing import say

HOME = machine.ROOT / ".venv-peers-reduction"
PYTHON = HOME / "bin" / "python"
REQUIREMENTS = machine.ROOT / "benchmarks" / "peers-reduction.txt"
SCRIPT = machine.ROOT / "benchmarks" / "peer_dask_ml.py"
SECONDS = 900
THREADS = 2


class NoPeer(Exception):
    """The peer could not be installed or did not end well; says why."""


def prepare() -> None:
    """Make the venv with the pinned versions unless it holds them already; NoPeer where they cannot be had."""
    mark = HOME / "installed.txt"
    if mark.exists() and mark.read_text() == REQUIREMENTS.read_text():
        return
    say("installing dask-ml into .venv-peers-reduction")
    _run([sys.executable, "-m", "venv", str(HOME)])
    _run([str(PYTHON), "-m", "pip", "install", "--quiet", "--requirement", str(REQUIREMENTS)])
    mark.write_text(REQUIREMENTS.read_text())


def dask_ml(rows: Path | str, array: str | None, labels: Path, **options: Any) -> float:
    """Seconds of one fit of dask-ml's SpectralClustering, `THREADS` threads with one BLAS thread each.

    Its labels go to `labels`; `options` are those that `peer_dask_ml.py` tells of. Raises NoPeer.
    """
    job = {"rows": str(rows), "array": array, "labels": str(labels), "persist": True, "threads": THREADS, **options}
    printed = _run([str(PYTHON), str(SCRIPT), json.dumps(job)])
    return float(json.loads(printed.strip().splitlines()[-1])["seconds"])


def _run(command: list[str]) -> str:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}
    environment.pop("PYTHONPATH", None)
    try:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=SECONDS)
    except subprocess.TimeoutExpired as error:
        raise NoPeer(f"not done after {SECONDS} s") from error
    if done.returncode:
        raise NoPeer((done.stderr.strip().splitlines() or [f"ended with code {done.returncode}"])[-1])
    return done.stdout

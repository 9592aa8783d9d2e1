"""The machine that the numbers were measured on. Names no host and no path."""

from __future__ import annotations

import os
import platform
import subprocess
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from distributed.system import MEMORY_LIMIT
from threadpoolctl import threadpool_info

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("numpy", "scipy", "scikit-learn", "dask", "distributed", "zarr", "prefect", "tapkee", "landmark-ops")


def describe() -> dict[str, Any]:
    """Processor, memory, software versions, commit and load of this moment, ready for JSON."""
    np.ones((2, 2)) @ np.ones((2, 2))  # loads BLAS, so that threadpoolctl sees it
    commit, dirty = git_state()
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit,
        "dirty": dirty,
        "cpu": cpu_model(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(MEMORY_LIMIT / 2**30, 1),
        "load": [round(load, 2) for load in os.getloadavg()],
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "blas": [blas_library(found) for found in threadpool_info() if found["user_api"] == "blas"],
        "packages": {name: version(name) for name in PACKAGES},
    }


def one_line(machine: dict[str, Any]) -> str:
    """The machine for people."""
    blas = ", ".join(sorted({f"{found['library']} {found['version']}" for found in machine["blas"]}))
    commit = f"{machine['commit']}{' with local changes' if machine['dirty'] else ''}"
    return (
        f"{machine['cpu']}, {machine['cores']} cores, {machine['memory_gib']} GiB, load {machine['load'][0]:g}; "
        f"Python {machine['python']}, NumPy {machine['packages']['numpy']}, {blas}; commit {commit}"
    )


def cpu_model() -> str:
    """The processor's own name for itself."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def blas_library(found: dict[str, Any]) -> dict[str, Any]:
    """The data of threadpoolctl on one BLAS, without its path."""
    kept = {key: found.get(key) for key in ("version", "threading_layer", "architecture", "num_threads")}
    return {"library": found["internal_api"], **kept}


def git_state() -> tuple[str, bool]:
    """Short hash of the commit, and whether the tree differs from it; `unknown` outside a checkout."""
    try:
        commit = _git("rev-parse", "--short=10", "HEAD").strip()
        return commit, bool(_git("status", "--porcelain"))
    except (OSError, subprocess.CalledProcessError):
        return "unknown", False


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=ROOT, check=True, capture_output=True, text=True).stdout

"""Peers of detection, each in its own loop of one picture at a time, in processes of .venv-peers."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks import machine
from benchmarks.timing import say
from landmark_ops.detectors.model_origin import MIRROR_VARIABLE

PYTHON = machine.ROOT / ".venv-peers" / "bin" / "python"
SCRIPT = machine.ROOT / "benchmarks" / "peer_loops.py"
#: Peers, and the pipeline of ours that answers the same question.
PEERS = {
    "insightface-style": "face-68",
    "mediapipe-faces": "face-6-blazeface",
    "mediapipe-mesh": "face-mesh-468",
    "mediapipe-hands": "hand-21",
    "mediapipe-pose": "pose-33",
    "rtmlib-body": "coco-17",
}
SECONDS = 300


class Rates(NamedTuple):
    """What was measured by peer, and why a peer was left out."""

    measured: dict[str, dict[str, Any]]
    left_out: dict[str, str]


def peer_rates(tars: list[Path]) -> Rates:
    """Images per second of every peer: one process per tar, all at once, loading and the first picture not counted."""
    mirror = os.environ.get(MIRROR_VARIABLE, "")
    if not PYTHON.exists():
        return Rates({}, dict.fromkeys(PEERS, "no .venv-peers: see benchmarks/peers.txt"))
    if not Path(mirror).is_dir() or not mirror:
        return Rates({}, dict.fromkeys(PEERS, f"{MIRROR_VARIABLE} names no folder: peers take their models from there"))
    measured: dict[str, dict[str, Any]] = {}
    left_out: dict[str, str] = {}
    for name in PEERS:
        say(f"detection: peer {name}")
        try:
            parts = run(name, tars, mirror)
        except (RuntimeError, subprocess.TimeoutExpired) as error:
            left_out[name] = str(error)
            say(f"detection: {name} left out: {error}")
            continue
        total = {key: sum(part[key] for part in parts) for key in ("images", "instances", "cpu_seconds")}
        seconds = max(part["seconds"] for part in parts)
        measured[name] = {"images_per_second": total["images"] / seconds, "seconds": seconds, **total}
    return Rates(measured, left_out)


def run(name: str, tars: list[Path], mirror: str) -> list[dict[str, Any]]:
    """The output of one process per tar. RuntimeError with the last line that a failed one wrote."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "OPENCV_FOR_THREADS_NUM": "1"}
    environment.pop("PYTHONPATH", None)
    processes = [
        subprocess.Popen(
            [str(PYTHON), str(SCRIPT), name, str(tar), mirror],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
        )
        for tar in tars
    ]
    try:
        outputs = [process.communicate(timeout=SECONDS) for process in processes]
    finally:
        for process in processes:
            process.kill()
    for process, (_, told) in zip(processes, outputs, strict=True):
        if process.returncode:
            raise RuntimeError((told.strip().splitlines() or [f"ended with code {process.returncode}"])[-1])
    return [json.loads(output.strip().splitlines()[-1]) for output, _ in outputs]

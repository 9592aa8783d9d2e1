"""One-shot spectral clustering from Zarr to labels, beside dask-ml's, which leaves out the orthogonalisation.

Same rows, landmarks as many, bandwidth the same; dask-ml draws its own landmarks. It runs once, in a venv of its own,
with its embedding kept in memory, which makes it twice as fast as its default. Quick: ours alone.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from benchmarks import peer_venv
from benchmarks.data import sampled_patches
from benchmarks.pipeline import Embedded, configure, embed
from benchmarks.result import Budget, Line, Result, number
from benchmarks.timing import say
from benchmarks.workers import WORKERS, two_workers
from landmark_ops import SpectralClustering
from landmark_ops.configs.embed import EmbedConfig
from landmark_ops.engine.threads import LocalEngine
from landmark_ops.numerics.kernel import resolve_kernel
from landmark_ops.selection.probe import probe_rows
from landmark_ops.stores.sources.source import open_rows

N, M, CLUSTERS = 131_072, 500, 8
ROUNDS = 3
PEER_CHUNK = 16_384
SPEED = Budget(low=40)
MOONS, NOISE, MOON_GAMMA = 2000, 0.05, 20.0
#: Landmarks -> the published ARI of dask-ml; exact and one-shot reach 1.
PUBLISHED = {50: 0.28, 100: 0.53, 200: 0.49}
MOON_SEEDS = 5
RIGHT = Budget(low=0.99)


def measure(quick: bool, folder: Path) -> Result:
    """Times dask-ml's speed, and ARI on two moons of both."""
    n, m, rounds = (8192, 100, 1) if quick else (N, M, ROUNDS)
    source = sampled_patches(folder, n, quick)
    rows = open_rows(source.uri, array=source.array)
    gamma = resolve_kernel("rbf", probe_rows(rows, 0, LocalEngine())).gamma
    method: dict[str, object] = {"name": "spectral_clustering", "n_clusters": CLUSTERS, "gamma": gamma}
    config = configure(source, folder / "spectral-out.zarr", method, m)
    runs, labels = our_runs(config, rounds)
    seconds = median(run.seconds for run in runs[1:])
    stages = {name: median(run.stages[name] for run in runs[1:]) for name in runs[0].stages}
    shown = ", ".join(f"{name} {number(spent)}" for name, spent in stages.items() if spent > 0.02 * seconds)
    what = f"{n:,} × {rows.d}, m={m}, {CLUSTERS} clusters"
    lines = [
        Line(f"Zarr → labels, {what}, {WORKERS} workers", seconds, "s", note=f"median of {rounds}: {shown}"),
        Line("… first run of fresh workers", runs[0].seconds, "s"),
    ]
    raw: dict[str, Any] = {
        "n": n,
        "d": rows.d,
        "m": m,
        "clusters": CLUSTERS,
        "gamma": gamma,
        "seconds": [run.seconds for run in runs],
        "stages": [run.stages for run in runs],
        "sizes": np.bincount(labels, minlength=CLUSTERS).tolist(),
    }
    without = "dask-ml not run" if quick else ""
    if not quick:
        try:
            peer_venv.prepare()
            assert source.array is not None
            lines.append(beside(source.uri, source.array, folder, gamma, seconds, labels, raw))
        except peer_venv.NoPeer as reason:
            without = f"dask-ml left out: {reason}"
            say(f"spectral: {without}")
    lines += moons(folder, quick, without, raw)
    return Result("spectral", "Spectral clustering", lines, raw)


def our_runs(config: EmbedConfig, rounds: int) -> tuple[list[Embedded], NDArray[np.int32]]:
    """One run of fresh workers and `rounds` more, and the labels of the last."""
    runs = []
    with two_workers() as engine:
        for turn in range(rounds + 1):
            say(f"spectral: ours, round {turn} of {rounds}")
            runs.append(embed(config, engine, keep=turn == rounds))
    labels = np.asarray(zarr.open_group(config.output.uri, mode="r")["labels"][:])  # type: ignore[index]
    shutil.rmtree(config.output.uri)
    return runs, labels


def beside(
    uri: str, array: str, folder: Path, gamma: float, ours: float, labels: NDArray[np.int32], raw: dict[str, Any]
) -> Line:
    """dask-ml on the same rows, once."""
    from sklearn.metrics import adjusted_rand_score

    say("spectral: dask-ml, once, some minutes")
    out = folder / "dask-ml-labels.npy"
    seconds = peer_venv.dask_ml(
        uri, array, out, n_clusters=CLUSTERS, landmarks=M, gamma=gamma, seed=0, chunk_rows=PEER_CHUNK
    )
    raw["dask_ml_seconds"] = seconds
    raw["ari_ours_dask_ml"] = float(adjusted_rand_score(labels, np.load(out)))
    note = f"{number(seconds)} s / {number(ours)} s; ARI between the two {number(raw['ari_ours_dask_ml'])}"
    return Line("times dask-ml's speed", seconds / ours, "×", SPEED, note)


def moons(folder: Path, quick: bool, without: str, raw: dict[str, Any]) -> list[Line]:
    """ARI to the true halves: ours over seeds, and dask-ml's with one."""
    from sklearn.datasets import make_moons
    from sklearn.metrics import adjusted_rand_score

    X, truth = make_moons(MOONS, noise=NOISE, random_state=0)
    path, out = folder / "moons.npy", folder / "moons-labels.npy"
    np.save(path, X)
    lines = []
    for m in list(PUBLISHED)[1:2] if quick else PUBLISHED:
        scores = []
        for seed in range(MOON_SEEDS):
            fitted = SpectralClustering(2, n_landmarks=m, gamma=MOON_GAMMA, random_state=seed).fit(X)
            scores.append(float(adjusted_rand_score(truth, fitted.labels_)))
        peer = without
        if not without:
            say(f"spectral: dask-ml on two moons, {m} landmarks")
            options = {"n_clusters": 2, "landmarks": m, "gamma": MOON_GAMMA, "seed": 0, "chunk_rows": MOONS}
            try:
                seconds = peer_venv.dask_ml(path, None, out, **options)
                score = float(adjusted_rand_score(truth, np.load(out)))
                raw[f"moons_{m}_dask_ml"] = {"ari": score, "seconds": seconds}
                peer = f"dask-ml {number(score)} with one seed, published {PUBLISHED[m]}"
            except peer_venv.NoPeer as reason:
                peer = f"dask-ml left out: {reason}"
        raw[f"moons_{m}"] = scores
        what = f"two moons, {MOONS:,} rows, m={m}: ARI, median of {MOON_SEEDS} seeds"
        lines.append(Line(what, median(scores), "", RIGHT, f"worst {number(min(scores))}; {peer}".rstrip("; ")))
    return lines

"""Euclidean LMDS from Zarr to Zarr, beside a pass that only reads the same Zarr, and beside peers in memory.

On one LocalCluster of 2 single-thread workers, in turn, the source in the page cache: a read-only pass, the extension
pass (read, place, write, hash) over the same ranges through the same engine, and the whole pipeline.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.blocks import bare_read, read_block
from benchmarks.data import patches
from benchmarks.pipeline import configure, embed, extension_seconds
from benchmarks.result import Budget, Line, Result, number
from benchmarks.timing import medians, say, seconds_of
from benchmarks.workers import two_workers
from landmark_ops import LandmarkMDS
from landmark_ops.configs.embed import EmbedConfig
from landmark_ops.engine.cluster import ClusterEngine
from landmark_ops.passes.ranges import ranges, task_rows
from landmark_ops.stores.sources.rows import Rows
from landmark_ops.stores.sources.source import open_rows

K = 10
ROUNDS = 7
PEER_ROWS = 50_000
BUDGET = Budget(high=1.3)


def measure(quick: bool, folder: Path) -> Result:
    """Ratios to a read-only pass, and seconds of tapkee's l-mds and scikit-learn's PCA."""
    source = patches(folder, quick)
    m, rounds, peer_rows = (100, 2, 2000) if quick else (1000, ROUNDS, PEER_ROWS)
    config = configure(source, folder / "lmds.zarr", {"name": "landmark_mds", "n_components": K}, m)
    rows = open_rows(source.uri, array=source.array)
    with two_workers() as engine:
        samples = pass_samples(engine, rows, config, rounds)
    peers = peer_samples(rows, m, peer_rows)
    typical = medians(samples)
    mine, read = peers["ours_seconds"], typical["read"]
    lines = [
        Line(
            f"extend / read-only pass, {rows.n:,} × {rows.d}, m={m}, k={K}",
            typical["extend"] / read,
            budget=BUDGET,
            note=f"{number(typical['extend'])} s / {number(read)} s, medians of {rounds}",
        ),
        Line(
            "extend stage of the flow / read-only pass",
            typical["stage"] / read,
            note=f"{number(typical['stage'])} s, with chunk records and the report's sample",
        ),
        Line("extend / bare zarr read", typical["extend"] / typical["bare"], note=f"bare {number(typical['bare'])} s"),
        Line("whole pipeline / read-only pass", typical["whole"] / read, note=f"{number(typical['whole'])} s"),
        Line("scikit-learn PCA, same rows in memory", peers["pca_all_seconds"], "s", note="all BLAS threads"),
        Line(f"LandmarkMDS, {peer_rows:,} rows in memory", mine, "s", note=_error(peers["ours_disparity"])),
        Line(
            f"tapkee l-mds, {peer_rows:,} rows in memory",
            peers["tapkee_seconds"],
            "s",
            note=f"{number(peers['tapkee_seconds'] / mine)} × ours; {_error(peers['tapkee_disparity'])}",
        ),
        Line(
            f"scikit-learn PCA, {peer_rows:,} rows in memory",
            peers["pca_seconds"],
            "s",
            note=f"{number(peers['pca_seconds'] / mine)} × ours",
        ),
    ]
    raw = {"n": rows.n, "d": rows.d, "m": m, "k": K, "seconds": samples, "peers": peers}
    return Result("lmds", "Landmark MDS, Zarr → Zarr, 2 workers", lines, raw)


def pass_samples(engine: ClusterEngine, rows: Rows, config: EmbedConfig, rounds: int) -> dict[str, list[float]]:
    """Seconds of two kinds of reading, the extension, the whole pipeline and its extend stage, in turn."""
    samples: dict[str, list[float]] = {"read": [], "bare": [], "extend": [], "stage": [], "whole": []}
    items = ranges(rows.n, task_rows(rows, K))
    for turn in range(rounds + 1):
        say(f"lmds: round {turn} of {rounds}")
        read = seconds_of(lambda: list(engine.imap(read_block, items, rows)))
        bare = seconds_of(lambda: list(engine.imap(bare_read, items, rows.uri)))
        extend = extension_seconds(config, engine)
        embedded = embed(config, engine)
        if turn:  # in the first round the workers import what they need
            found = (read, bare, extend, embedded.stages["extend"], embedded.seconds)
            for name, value in zip(samples, found, strict=True):
                samples[name].append(value)
    return samples


def peer_samples(rows: Rows, m: int, count: int) -> dict[str, Any]:
    """Seconds of each method on ndarrays in this process, best of 2, and Procrustes disparity to PCA.

    tapkee takes (features, rows) float64 in Fortran order; it is given that, the conversion is not counted. One run of
    it: it takes seconds, and draws its landmarks anew each time.
    """
    import tapkee
    from sklearn.decomposition import PCA

    say("lmds: peers in memory")
    X = rows.read(0, rows.n)
    few = X[np.sort(np.random.default_rng(0).choice(rows.n, count, replace=False))]
    columns = np.asfortranarray(few.T.astype(np.float64))
    kept: dict[str, NDArray[Any]] = {}

    def by_pca() -> None:
        kept["pca"] = PCA(K).fit_transform(few)

    def by_us() -> None:
        kept["ours"] = LandmarkMDS(K, n_landmarks=m, random_state=0).fit_transform(few)

    def by_tapkee() -> None:
        kept["tapkee"] = tapkee.embed(columns, method="l-mds", target_dimension=K, landmark_ratio=m / count)

    return {
        "rows": count,
        "pca_all_seconds": min(seconds_of(lambda: PCA(K).fit_transform(X)) for _ in range(2)),
        "pca_seconds": min(seconds_of(by_pca) for _ in range(2)),
        "ours_seconds": min(seconds_of(by_us) for _ in range(2)),
        "tapkee_seconds": seconds_of(by_tapkee),
        "ours_disparity": disparity(kept["pca"], kept["ours"]),
        "tapkee_disparity": disparity(kept["pca"], kept["tapkee"]),
    }


def disparity(exact: NDArray[Any], other: NDArray[Any]) -> float:
    """The residual of `other` after the best shift, rotation and scaling onto `exact`: 0 the same, 1 unrelated."""
    from scipy.spatial import procrustes

    return float(procrustes(exact, other)[2])


def _error(value: float) -> str:
    return f"Procrustes to PCA {number(value)}"

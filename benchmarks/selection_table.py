"""Relative trace errors of the selection strategies on two sets of the RPCholesky gallery, beside published ones.

    python -m benchmarks.selection_table [--seeds 20] [--rows 10000]

Chen, Epperly, Tropp & Webber 2022, figure 1: `smile` with bandwidth 2, robust spiral with bandwidth 1000, kernel
exp(-|x - z|^2 / (2 bandwidth^2)), n = 10,000; medians over seeds of trace(K - K_nS K_SS^+ K_Sn) / trace(K). The paper's
"greedy" takes the largest residual, which here is `active`; `greedy` here is greedy column subset selection.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
from numpy.typing import NDArray

from landmark_ops.engine.threads import LocalEngine
from landmark_ops.numerics.kernel import Kernel, kernel_block
from landmark_ops.numerics.metric import Metric
from landmark_ops.selection.request import Request
from landmark_ops.selection.selection import select
from landmark_ops.stores.sources.rows import ArrayRows

F64 = NDArray[np.float64]
COUNTS = (50, 100, 150)
#: strategy -> published medians, smile and spiral, for each of COUNTS
PUBLISHED: dict[str, tuple[tuple[float, ...], tuple[float, ...]]] = {
    "uniform": ((4.8e-2, 6.9e-3, 3.2e-3), (8.0e-2, 7.8e-2, 7.4e-2)),
    "leverage": ((3.9e-2, 4.1e-3, 1.9e-3), (6.5e-2, 5.4e-2, 4.5e-2)),
    "bless": ((np.nan,) * 3, (np.nan,) * 3),
    "kmeans": ((2.8e-3, 1.0e-4, 1.5e-5), (0.10, 8.7e-2, 7.3e-2)),
    "maxmin": ((2.2e-3, 1.0e-6, 2.8e-7), (0.10, 9.3e-2, 8.7e-2)),
    "rpcholesky": ((2.3e-3, 1.3e-7, 5.9e-12), (6.5e-2, 4.9e-2, 4.0e-2)),
    "active": ((3.5e-3, 2.3e-7, 1.3e-11), (0.995, 0.990, 0.985)),
    "greedy": ((np.nan,) * 3, (np.nan,) * 3),
}


def smile(n: int, random: np.random.Generator) -> F64:
    """Two round eyes of sqrt(n) rows each, a mouth of n / 10, and a circle around, (n, 2)."""
    eye, mouth = int(np.ceil(np.sqrt(n))), int(np.ceil(n / 10))
    square = random.uniform(-1, 1, (40 * eye, 2))
    disk = square[(square**2).sum(axis=1) <= 1][: 2 * eye]
    eyes = disk + np.repeat([[-4.0, 4.0], [4.0, 4.0]], eye, axis=0)
    x = np.linspace(-5, 5, mouth)
    angle = np.linspace(0, 2 * np.pi, n - 2 * eye - mouth)
    face = 10 * np.column_stack([np.cos(angle), np.sin(angle)])
    return np.concatenate([eyes, np.column_stack([x, x**2 / 16 - 5]), face])


def spiral(n: int) -> F64:
    """A spiral e^(0.2 t) with nearly all rows at its centre and the outermost few far from each other, (n, 2)."""
    t = np.linspace(0, 2, n)[::-1] ** 6
    return np.exp(0.2 * t)[:, None] * np.column_stack([np.cos(t), np.sin(t)])


def trace_error(X: F64, Z: F64, kernel: Kernel) -> float:
    """trace(K - C W^+ C^T) / trace(K) for C = k(X, Z), W = k(Z, Z), of a kernel with k(x, x) = 1.

    By Cholesky with the largest residual as pivot, ended at rounding: exact down to 1e-14, where a pseudo-inverse of W
    stops at 1e-8.
    """
    C, W = kernel_block(X, Z, kernel), kernel_block(Z, Z, kernel)
    m = len(Z)
    rest, left = np.ones(len(X)), np.ones(m)
    F, G = np.zeros((len(X), m)), np.zeros((m, m))
    for j in range(m):
        s = int(left.argmax())
        if left[s] < 1e-15:
            break
        root = np.sqrt(left[s])
        F[:, j] = (C[:, s] - F[:, :j] @ G[s, :j]) / root
        G[:, j] = (W[:, s] - G[:, :j] @ G[s, :j]) / root
        rest -= F[:, j] ** 2
        left -= G[:, j] ** 2
        left[s] = 0
    return float(np.maximum(rest, 0).mean())


def measure(X: F64, kernel: Kernel, strategy: str, count: int, seeds: int) -> tuple[float, float]:
    """Median relative trace error and median seconds of a strategy."""
    errors, seconds = [], []
    for seed in range(seeds):
        began = time.perf_counter()
        ask = Request(ArrayRows(X), count, seed, LocalEngine(), Metric("euclidean"), kernel=kernel)
        chosen = select(strategy, ask)
        seconds.append(time.perf_counter() - began)
        errors.append(trace_error(X, np.asarray(chosen.points, np.float64), kernel))
    return float(np.median(errors)), float(np.median(seconds))


def table(n: int, seeds: int, counts: tuple[int, ...] = COUNTS) -> list[tuple[str, str, int, float, float, float]]:
    """Rows (set, strategy, m, ours, published, seconds)."""
    sets = {
        "smile": (smile(n, np.random.default_rng(0)), Kernel("rbf", 1 / (2 * 2.0**2))),
        "spiral": (spiral(n), Kernel("rbf", 1 / (2 * 1000.0**2))),
    }
    rows = []
    for place, (name, (X, kernel)) in enumerate(sets.items()):
        for strategy, published in PUBLISHED.items():
            for number, count in enumerate(counts):
                error, seconds = measure(X, kernel, strategy, count, seeds)
                rows.append((name, strategy, count, error, published[place][number], seconds))
    return rows


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--rows", type=int, default=10_000)
    given = parser.parse_args()
    print(f"relative trace error, n = {given.rows}, medians over {given.seeds} seeds")
    print("| set | strategy | m | ours | published | seconds |\n|---|---|---|---|---|---|")
    for name, strategy, count, error, published, seconds in table(given.rows, given.seeds):
        print(f"| {name} | {strategy} | {count} | {error:.1e} | {published:.1e} | {seconds:.2f} |")


if __name__ == "__main__":
    main()

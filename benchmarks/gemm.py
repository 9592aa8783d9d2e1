"""Speed of float32 matrix products on this processor, the yardstick for everything dominated by one."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from benchmarks.result import Line, Result
from benchmarks.timing import say, seconds_of

SIZE, QUICK_SIZE = 3072, 256
TILE = (512, 194, 1000)  # rows x (features + 2) x landmarks: the product inside one tile of an RBF block
ROUNDS = 5


def measure(quick: bool, folder: Path) -> Result:
    """GFLOP/s of a square product on 1 and on all threads, and of the small product one RBF tile consists of."""
    size, rounds = gemm_size(quick), 2 if quick else ROUNDS
    cores = len(os.sched_getaffinity(0))
    say(f"gemm: {size}³ float32")
    samples = {}
    with threadpool_limits(1, user_api="blas"):
        samples["1 thread"] = gemm_rates((size, size, size), rounds)
        samples["1 thread, tile"] = gemm_rates(TILE, rounds, repeat=2 if quick else 50)
    with threadpool_limits(cores, user_api="blas"):
        samples[f"{cores} threads"] = gemm_rates((size, size, size), rounds)
    lines = [
        Line(f"float32 GEMM {size}³, 1 thread", max(samples["1 thread"]), "GFLOP/s", note=f"best of {rounds}"),
        Line(f"float32 GEMM {size}³, {cores} threads", max(samples[f"{cores} threads"]), "GFLOP/s"),
        Line(f"float32 GEMM {' × '.join(map(str, TILE))}, 1 thread", max(samples["1 thread, tile"]), "GFLOP/s"),
    ]
    return Result("gemm", "Matrix products", lines, {"size": size, "tile": TILE, "gflops": samples})


def gemm_size(quick: bool) -> int:
    """Side of the square product all rates are compared with."""
    return QUICK_SIZE if quick else SIZE


def gemm_rates(shape: tuple[int, int, int], rounds: int, repeat: int = 1) -> list[float]:
    """GFLOP/s of (a, b) @ (b, c) float32 into an existing array, 2 a b c operations; one sample per round.

    Threads are those BLAS may use here: the caller, or the worker this runs in, has limited them.
    """
    a, b, c = shape
    rng = np.random.default_rng(0)
    A, B = rng.standard_normal((a, b), np.float32), rng.standard_normal((b, c), np.float32)
    out = np.empty((a, c), np.float32)

    def work() -> None:
        for _ in range(repeat):
            np.matmul(A, B, out=out)

    work()
    return [2e-9 * a * b * c * repeat / seconds_of(work) for _ in range(rounds)]

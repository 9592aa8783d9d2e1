"""Sparse Gaussian process and Nystrom ridge beside scikit-learn's exact ones: time, error on new rows, memory.

Parameters are the same for both sides and fixed, so that the same model is fitted exactly and from landmarks. Fit and
prediction of new rows are timed together, with standard errors for the processes. The exact ones hold n × n arrays.
One BLAS thread on both sides, and ratios of processor time: ours take a third of a second, so that on a shared machine
anything else would be decided by whoever else runs.
"""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from benchmarks.result import Budget, Line, Result, number
from benchmarks.timing import medians, say

F64 = NDArray[np.float64]
N, NEW, D, M = 10_000, 2_000, 8, 500
NOISE, SIGNAL, GAMMA = 0.01, 1.0, 0.05  # variances; the function varies by about 1
ROUNDS = 5  # of ours; an exact fit is timed once, its seconds outweigh what disturbs them
SEED = 20260101
SPEED = Budget(low=20)
ERROR = Budget(high=1.02)
MEMORY = Budget(high=1.1)
GROWTH = 4  # times the rows, for the memory of a fit


def measure(quick: bool, folder: Path) -> Result:
    """Ratios of time and error, ours to the exact ones, and how the peak memory of a fit grows with n."""
    import sklearn.kernel_ridge  # noqa: F401  SciPy's BLAS must be there to be limited

    with threadpool_limits(1, user_api="blas"):
        return compare(quick)


def compare(quick: bool) -> Result:
    """As `measure`, with as many threads as BLAS is allowed."""
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import RBF, ConstantKernel
    from sklearn.kernel_ridge import KernelRidge

    from landmark_ops.estimators.nystroem_ridge import NystroemRidge
    from landmark_ops.estimators.sparse_gp import SparseGPRegressor

    n, new, m = (600, 200, 60) if quick else (N, NEW, M)
    X, y = made(n, 0)
    fresh, truth = made(new, 1)
    kernel = ConstantKernel(SIGNAL, "fixed") * RBF(1 / np.sqrt(2 * GAMMA), "fixed")
    common: dict[str, Any] = {"n_landmarks": m, "gamma": GAMMA, "random_state": 0}
    process = {"noise": NOISE, "signal": SIGNAL, **common}
    alpha = NOISE / SIGNAL

    def exact_process() -> F64:
        model = GaussianProcessRegressor(kernel, alpha=NOISE, optimizer=None).fit(X, y - y.mean())
        return y.mean() + model.predict(fresh, return_std=True)[0]

    def exact_ridge() -> F64:
        model = KernelRidge(alpha=alpha, kernel="rbf", gamma=GAMMA).fit(X, y - y.mean())
        return y.mean() + model.predict(fresh)

    def sparse_process(approximation: str, X: F64 = X, y: F64 = y) -> F64:
        model = SparseGPRegressor(approximation=approximation, **process).fit(X, y)  # type: ignore[arg-type]
        return np.asarray(model.predict(fresh, return_std=True)[0])

    def sparse_ridge(X: F64 = X, y: F64 = y) -> F64:
        return np.asarray(NystroemRidge(alpha=alpha, **common).fit(X, y).predict(fresh))

    works: dict[str, Callable[[], F64]] = {
        "SparseGPRegressor, vfe": lambda: sparse_process("vfe"),
        "SparseGPRegressor, fitc": lambda: sparse_process("fitc"),
        "NystroemRidge": sparse_ridge,
    }
    exact: dict[str, Callable[[], F64]] = {"GaussianProcessRegressor": exact_process, "KernelRidge": exact_ridge}
    peers = dict(zip(works, ["GaussianProcessRegressor", "GaussianProcessRegressor", "KernelRidge"], strict=True))

    found: dict[str, F64] = {}
    wall: dict[str, list[float]] = {name: [] for name in (*works, *exact)}
    busy: dict[str, list[float]] = {name: [] for name in (*works, *exact)}
    for name, work in {**works, **exact}.items():
        say(f"supervised: {name}, {n:,} × {D}")
        for _ in range(ROUNDS if name in works else 1):
            began, before = time.perf_counter(), time.process_time()
            found[name] = work()
            wall[name].append(time.perf_counter() - began)
            busy[name].append(time.process_time() - before)
    seconds = medians(busy)
    errors = {name: rmse(values, truth) for name, values in found.items()}

    lines = []
    for name, peer in peers.items():
        speed = f"{number(seconds[peer])} s / {number(seconds[name])} s for fit and {new:,} new rows, "
        speed += f"elapsed {number(median(wall[peer]))} s / {number(median(wall[name]))} s"
        lines.append(Line(f"{name}, m={m}: times {peer}'s speed", seconds[peer] / seconds[name], "×", SPEED, speed))
        error = f"{number(errors[name])} / {number(errors[peer])}, noise {number(NOISE**0.5)}"
        lines.append(Line(f"{name}: RMSE on new rows, ratio", errors[name] / errors[peer], "", ERROR, error))
    say(f"supervised: memory, {GROWTH * n:,} rows")
    larger = made(GROWTH * n, 2)
    fits: dict[str, Callable[..., F64]] = {
        "SparseGPRegressor, fitc": lambda *rows: sparse_process("fitc", *rows),
        "NystroemRidge": sparse_ridge,
    }
    peaks: dict[str, list[int]] = {}
    for name, fit in fits.items():
        peaks[name] = [peak_bytes(partial(fit, *rows)) for rows in ((X, y), larger)]
        small, large = (number(peak / 2**20) for peak in peaks[name])
        note = f"{large} / {small} MiB; n × m would be {number(GROWTH * n * m * 8 / 2**20)} MiB"
        lines.append(Line(f"{name}: peak memory, {GROWTH} n / n", peaks[name][1] / peaks[name][0], "", MEMORY, note))
    raw = {
        "n": n,
        "d": D,
        "m": m,
        "new": new,
        "seconds": wall,
        "processor_seconds": busy,
        "rmse": errors,
        "peak_bytes": peaks,
    }
    return Result("supervised", f"Regression, {n:,} × {D}, beside scikit-learn's exact methods", lines, raw)


def made(n: int, stream: int) -> tuple[F64, F64]:
    """Rows X (n, d) uniform in a cube and a smooth function of them with noise, (n,)."""
    random = np.random.default_rng([SEED, stream])
    X = random.uniform(-1, 1, (n, D))
    y = np.sin(2 * X[:, 0] + X[:, 1]) + 1.5 * X[:, 2] * X[:, 3] + np.cos(2 * X[:, 4]) + X[:, 5] ** 2 - X[:, 6]
    return X, y + np.sqrt(NOISE) * random.normal(size=n)


def rmse(found: F64, truth: F64) -> float:
    """Root mean squared error against noisy targets, so never much below the noise."""
    return float(np.sqrt(((found - truth) ** 2).mean()))


def peak_bytes(work: Callable[[], Any]) -> int:
    """Most bytes that arrays and objects made by one call took up at a time."""
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

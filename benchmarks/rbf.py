"""RBF Nystrom extension, as a share of the float32 matrix product rate of the same cores in the same run.

    operations = 2 n m d (rows times landmarks) + 2 n m (k + 1) (block times readout and residual weights)

The n m exponentials, centring and norms are not counted: they are what the share pays for. Two maps over the same
landmarks: k = 10 scores of kernel PCA, and all m features in scikit-learn's own basis, V L^-1/2 V^T.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from benchmarks.data import patches
from benchmarks.gemm import gemm_rates, gemm_size
from benchmarks.pipeline import configure, extension_seconds
from benchmarks.result import Budget, Line, Result, number
from benchmarks.timing import interleave, medians, say
from benchmarks.workers import WORKERS, two_workers, worker_gemm_rates
from landmark_ops.maps.landmark_map import LandmarkMap
from landmark_ops.maps.moments import moments
from landmark_ops.numerics.distances import Array
from landmark_ops.numerics.kernel import Kernel
from landmark_ops.passes.sums import sum_block
from landmark_ops.stores.sources.rows import ArrayRows
from landmark_ops.stores.sources.source import open_rows

K = 10
ROUNDS, GEMM_ROUNDS = 5, 3
ROWS = 32_768  # in memory, per evaluation
SOLVE_ROWS = 8192  # rows the mean and covariance of kernel PCA are taken from
CHECK_ROWS = 2048
TILE = 512
BUDGET = Budget(low=0.60)


class Maps(NamedTuple):
    """The two maps that are timed, and the kernel and landmarks they share."""

    scores: LandmarkMap  # k = 10
    features: LandmarkMap  # k = m
    kernel: Kernel
    landmarks: Array
    rank: int


def measure(quick: bool, folder: Path) -> Result:
    """Share of the matrix product rate on one thread in memory and on 2 workers Zarr → Zarr; scikit-learn beside."""
    source = patches(folder, quick)
    m, count, rounds = (100, 2048, 2) if quick else (1000, ROWS, ROUNDS)
    rows = open_rows(source.uri, array=source.array)
    drawn = np.random.default_rng(0).choice(rows.n, m + count, replace=False)
    found = rows.take(drawn.astype(np.int64))
    Z, X = found[:m], found[m:]
    maps = build_maps(Z, X[:SOLVE_ROWS])
    with threadpool_limits(1, user_api="blas"):
        memory, gemm = memory_samples(maps, X, rounds, gemm_size(quick))
    typical = medians(memory)
    sizes = {"scores": K, "features": m}
    gflops = {name: operations(count, m, rows.d, k) / typical[name] / 1e9 for name, k in sizes.items()}
    per_second = {name: count / seconds for name, seconds in typical.items()}

    config = configure(source, folder / "rbf.zarr", {"name": "nystroem", "n_components": K}, m)
    with two_workers() as engine:
        say(f"rbf: Zarr → Zarr, {rounds} rounds")
        extend, worker_gemm = [], []
        for turn in range(rounds + 1):
            product = worker_gemm_rates(engine, gemm_size(quick), GEMM_ROUNDS)
            seconds = extension_seconds(config, engine)
            if turn:
                worker_gemm.append(product)
                extend.append(seconds)
    both = sum(max(max(product[worker]) for product in worker_gemm) for worker in range(WORKERS))
    stored = operations(rows.n, m, rows.d, K) / float(np.median(extend)) / 1e9

    errors = accuracy(maps, X[:CHECK_ROWS])
    what = f"m={m}, d={rows.d}"
    lines = [
        Line(
            f"share of GEMM, 1 thread, {what}, k={K}",
            gflops["scores"] / max(gemm),
            budget=BUDGET,
            note=f"{number(gflops['scores'])} / {number(max(gemm))} GFLOP/s",
        ),
        Line(
            f"share of GEMM, 1 thread, {what}, k={m}",
            gflops["features"] / max(gemm),
            budget=BUDGET,
            note=f"{number(gflops['features'])} GFLOP/s",
        ),
        Line(
            f"share of GEMM, {WORKERS} workers Zarr → Zarr, {rows.n:,} rows, k={K}",
            stored / both,
            budget=BUDGET,
            note=f"{number(stored)} / {number(both)} GFLOP/s, {number(rows.n / float(np.median(extend)))} rows/s",
        ),
        Line(f"rows/s, 1 thread, k={K}", per_second["scores"], "rows/s", note=_error(errors["scores"])),
        Line(f"rows/s, 1 thread, k={m}", per_second["features"], "rows/s", note=_error(errors["features"])),
        Line(
            f"scikit-learn Nystroem.transform, 1 thread, k={m}",
            per_second["sklearn"],
            "rows/s",
            note=f"ours {number(typical['sklearn'] / typical['features'])} × as fast, k={K}: "
            f"{number(typical['sklearn'] / typical['scores'])} ×; {_error(errors['sklearn'])}",
        ),
        Line(
            f"NumPy in tiles of {TILE} rows, 1 thread, k={K}",
            per_second["tiled"],
            "rows/s",
            note=f"ours {number(typical['tiled'] / typical['scores'])} × as fast",
        ),
    ]
    raw = {
        "formula": "2 n m d + 2 n m (k + 1)",
        "n": rows.n,
        "d": rows.d,
        "m": m,
        "rows_in_memory": count,
        "gamma": maps.kernel.gamma,
        "rank": maps.rank,
        "seconds_in_memory": memory,
        "gemm_gflops_1_thread": gemm,
        "seconds_extend": extend,
        "gemm_gflops_workers": worker_gemm,
        "errors": errors,
    }
    return Result("rbf", "RBF Nystrom extension", lines, raw)


def operations(n: int, m: int, d: int, k: int) -> int:
    """Floating-point operations that are counted: the two matrix products."""
    return 2 * n * m * d + 2 * n * m * (k + 1)


def build_maps(Z: Array, X: Array) -> Maps:
    """Kernel PCA scores, their moments from the rows X, and the Nystrom features in scikit-learn's basis."""
    from landmark_ops.methods.nystroem_kernel_pca import NystroemKernelPCAMethod

    method = NystroemKernelPCAMethod(K)
    started = method.start(Z, X.dtype)
    (found,) = sum_block((0, len(X)), ArrayRows(X), (moments(started.map),), None).values
    scores = method.finish(started, found, X.dtype).map
    fitted = started.map
    assert isinstance(fitted.block, Kernel)
    vectors = started.embedding / np.sqrt(started.eigenvalues)  # V (m, r)
    m = len(Z)
    features = LandmarkMap(
        Z, fitted.block, fitted.readout @ vectors.T, np.zeros(m), fitted.residual_weights, self_term=True
    )
    return Maps(scores, features, fitted.block, Z, started.rank)


def memory_samples(maps: Maps, X: Array, rounds: int, size: int) -> tuple[dict[str, list[float]], list[float]]:
    """Seconds per evaluation of X in memory, in turn, and GFLOP/s of the matrix product before and after."""
    say(f"rbf: in memory, {rounds} rounds")
    gemm = gemm_rates((size, size, size), GEMM_ROUNDS)
    peer = sklearn_nystroem(maps.landmarks, maps.kernel.gamma)
    readout = maps.scores.readout.astype(X.dtype)
    works = {
        "scores": lambda: maps.scores.place(X),
        "features": lambda: maps.features.place(X),
        "sklearn": lambda: peer.transform(X),
        "tiled": lambda: tiled(X, maps.landmarks, maps.kernel.gamma, readout),
    }
    samples = interleave(works, rounds)
    return samples, gemm + gemm_rates((size, size, size), GEMM_ROUNDS)


def sklearn_nystroem(Z: Array, gamma: float) -> Any:
    """scikit-learn's Nystroem over the same landmarks: fitted on them alone, it keeps them all."""
    from sklearn.kernel_approximation import Nystroem

    return Nystroem(kernel="rbf", gamma=gamma, n_components=len(Z), random_state=0).fit(Z)


def tiled(X: Array, Z: Array, gamma: float, readout: Array) -> Array:
    """What one would write by hand: tiles that stay in cache, |x|² − 2 x·z + |z|², exp, readout."""
    out = np.empty((len(X), readout.shape[1]), X.dtype)
    squares, transposed = np.einsum("ij,ij->i", Z, Z), np.ascontiguousarray(Z.T)
    for start in range(0, len(X), TILE):
        tile = X[start : start + TILE]
        block = tile @ transposed
        block *= -2
        block += np.einsum("ij,ij->i", tile, tile)[:, None]
        block += squares
        block *= -gamma
        np.exp(block, out=block)
        out[start : start + TILE] = block @ readout
    return out


def accuracy(maps: Maps, X: Array) -> dict[str, float]:
    """Largest error of any float32 feature, over the largest float64 one; the reference sees float64 rows.

    Ours is compared with kernel values from differences (no expanded squares) and its own readout; scikit-learn's
    with a float64 fit of itself, since it solves in the dtype of the rows and its readout carries that error too.
    """
    from scipy.spatial.distance import cdist

    X64, Z64 = X.astype(np.float64), maps.landmarks.astype(np.float64)
    block = np.exp(-maps.kernel.gamma * cdist(X64, Z64, "sqeuclidean"))
    peer, peer64 = (sklearn_nystroem(Z, maps.kernel.gamma) for Z in (maps.landmarks, Z64))
    return {
        "scores": largest_error(maps.scores(X), block @ maps.scores.readout + maps.scores.offset),
        "features": largest_error(maps.features(X), block @ maps.features.readout),
        "sklearn": largest_error(in_order(peer, X), in_order(peer64, X64)),
    }


def in_order(fitted: Any, X: Array) -> NDArray[Any]:
    """scikit-learn's features, columns in the order of the landmarks it was given, not of its permutation."""
    return np.asarray(fitted.transform(X))[:, np.argsort(fitted.component_indices_)]


def largest_error(found: Array, exact: Array) -> float:
    """max |found - exact| / max |exact|."""
    return float(np.abs(found - exact).max() / np.abs(exact).max())


def _error(value: float) -> str:
    return f"max error {value:.0e} of the largest"

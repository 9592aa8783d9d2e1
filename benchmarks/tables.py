"""The tables that methods are judged by, ours beside the published numbers, in one run. Quick: a corner of each.

Medians over seeds. Procrustes: SciPy's disparity, both sides scaled to 1. Angles: the sine of the largest principal
angle between the leading eigenvectors of the Nystrom affinity and of the exact one, D^-1/2 K D^-1/2.
"""

from __future__ import annotations

from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks import selection_table
from benchmarks.result import Line, Result, number
from benchmarks.timing import say
from landmark_ops import LandmarkIsomap, LandmarkMDS, SpectralClustering, SpectralEmbedding

F64 = NDArray[np.float64]
SEEDS = 5
ROLL, NEIGHBORS = 2000, 10
#: Landmarks -> published disparity to full Isomap with uniform and maxmin landmarks.
ISOMAP = {10: (1.6e-4, 8.0e-5), 50: (4.7e-5, 2.2e-5), 200: (7.2e-6, 1.3e-5)}
#: Set -> gamma, eigenvectors, landmarks, published sines of dask-ml's formula and of the one-shot method.
ANGLES = {"moons": (20.0, 2, 100, (0.90, 0.014)), "digits": (1e-3, 10, 200, (0.98, 0.34))}
#: Landmarks -> published ARI on two moons of dask-ml's formula; the one-shot method's is 1.
MOONS = {50: 0.28, 100: 0.53, 200: 0.49}
MOONS_GAMMA = 20.0
DIGITS_LANDMARKS, DIGITS_COMPONENTS = 400, 3
DIGITS = {"uniform": 0.0054, "maxmin": 0.100}


def measure(quick: bool, folder: Path) -> Result:
    """Every number of the tables of the methods' sheet."""
    raw: dict[str, Any] = {"seeds": 1 if quick else SEEDS}
    lines = [
        *trace_errors(quick, raw),
        *isomap_disparities(quick, raw),
        *spectral_angles(quick, raw),
        *moons_scores(quick, raw),
        *digits_disparities(quick, raw),
    ]
    return Result("tables", "Tables of the methods, ours beside published", lines, raw)


def trace_errors(quick: bool, raw: dict[str, Any]) -> list[Line]:
    """Relative trace error by strategy on two sets, as `benchmarks.selection_table` measures it."""
    n, counts = (1000, (50,)) if quick else (10_000, selection_table.COUNTS)
    say(f"tables: trace error by strategy, {n:,} rows, {raw['seeds']} seeds")
    rows = selection_table.table(n, raw["seeds"], counts)
    raw["trace_error"] = [[None if value != value else value for value in row] for row in rows]
    return [
        line(f"trace error, {name}, {strategy}, m={count}", error, published)
        for name, strategy, count, error, published, _ in rows
    ]


def isomap_disparities(quick: bool, raw: dict[str, Any]) -> list[Line]:
    """Landmark Isomap of the swiss roll against scikit-learn's full Isomap."""
    from scipy.spatial import procrustes
    from sklearn.datasets import make_swiss_roll
    from sklearn.manifold import Isomap

    n = ROLL // 4 if quick else ROLL
    say(f"tables: landmark Isomap of the swiss roll, {n:,} rows")
    X = make_swiss_roll(n, random_state=0)[0]
    exact = Isomap(n_neighbors=NEIGHBORS, n_components=2).fit_transform(X)
    lines = []
    for m, published in ISOMAP.items():
        for selection, value in zip(("uniform", "maxmin"), published, strict=True):
            found = []
            for seed in range(raw["seeds"]):
                ours = LandmarkIsomap(
                    2, n_neighbors=NEIGHBORS, n_landmarks=m, selection=selection, random_state=seed, components="join"
                )
                found.append(float(procrustes(exact, ours.fit_transform(X))[2]))
            raw[f"isomap_{selection}_{m}"] = found
            lines.append(line(f"Procrustes² to Isomap, swiss roll, {selection}, m={m}", median(found), value))
    return lines


def spectral_angles(quick: bool, raw: dict[str, Any]) -> list[Line]:
    """How far the leading eigenvectors are from the exact ones; the trivial one is left out of ours, being exact."""
    from scipy.linalg import subspace_angles
    from sklearn.datasets import load_digits, make_moons

    say("tables: principal angles of spectral embeddings")
    sets = {"moons": make_moons(ROLL, noise=0.05, random_state=0)[0], "digits": load_digits().data}
    lines = []
    for name, (gamma, k, m, published) in ANGLES.items():
        if quick and name != "moons":
            continue
        X = sets[name][:: 2 if quick else 1]
        exact = exact_eigenvectors(X, gamma, k)
        theirs, ours = [], []
        for seed in range(raw["seeds"]):
            drawn = draw(len(X), m, seed)
            fitted = SpectralEmbedding(k - 1, n_landmarks=m, gamma=gamma, selection=drawn).fit(X)
            ours.append(float(np.sin(subspace_angles(fitted.transform(X), exact[:, 1:])).max()))
            theirs.append(float(np.sin(subspace_angles(without_orthogonalisation(X, drawn, gamma, k), exact)).max()))
        raw[f"angles_{name}"] = {"one_shot": ours, "dask_ml_formula": theirs}
        lines.append(line(f"angle, {name}, m={m}, dask-ml's formula", median(theirs), published[0]))
        lines.append(line(f"angle, {name}, m={m}, one-shot", median(ours), published[1]))
    return lines


def moons_scores(quick: bool, raw: dict[str, Any]) -> list[Line]:
    """Adjusted Rand index of two clusters to the two moons."""
    from sklearn.cluster import KMeans
    from sklearn.datasets import make_moons
    from sklearn.metrics import adjusted_rand_score

    say("tables: two moons")
    X, truth = make_moons(ROLL, noise=0.05, random_state=0)
    lines = []
    for m, published in list(MOONS.items())[-1:] if quick else MOONS.items():
        theirs, ours = [], []
        for seed in range(raw["seeds"]):
            drawn = draw(len(X), m, seed)
            fitted = SpectralClustering(2, gamma=MOONS_GAMMA, selection=drawn, random_state=seed).fit(X)
            ours.append(float(adjusted_rand_score(truth, fitted.labels_)))
            V = without_orthogonalisation(X, drawn, MOONS_GAMMA, 2)
            V /= np.sqrt((V**2).sum(axis=1, keepdims=True))
            theirs.append(float(adjusted_rand_score(truth, KMeans(2, n_init=10, random_state=seed).fit_predict(V))))
        raw[f"moons_{m}"] = {"one_shot": ours, "dask_ml_formula": theirs}
        note = f"dask-ml's formula {number(median(theirs))} ({number(min(theirs))} … {number(max(theirs))})"
        lines.append(line(f"ARI, two moons, m={m}, one-shot", median(ours), 1.0, f"{note}, published {published}"))
    return lines


def digits_disparities(quick: bool, raw: dict[str, Any]) -> list[Line]:
    """Landmark MDS of the digits against PCA, which all rows as landmarks would give."""
    from scipy.spatial import procrustes
    from sklearn.datasets import load_digits
    from sklearn.decomposition import PCA

    say("tables: Landmark MDS of the digits")
    X = load_digits().data
    exact = PCA(DIGITS_COMPONENTS).fit_transform(X)
    lines = []
    for selection, published in DIGITS.items():
        found = []
        for seed in range(raw["seeds"]):
            ours = LandmarkMDS(DIGITS_COMPONENTS, n_landmarks=DIGITS_LANDMARKS, selection=selection, random_state=seed)
            found.append(float(procrustes(exact, ours.fit_transform(X))[2]))
        raw[f"digits_{selection}"] = found
        what = f"Procrustes² to PCA, digits, LMDS, {selection}, m={DIGITS_LANDMARKS}, k={DIGITS_COMPONENTS}"
        lines.append(line(what, median(found), published))
    return lines


def line(what: str, value: float, published: float, more: str = "") -> Line:
    """Ours, and in the note what was published and the ratio of the two."""
    known = "" if np.isnan(published) else f"published {number(published)}: × {number(value / published)}"
    return Line(what, value, note="; ".join(part for part in (known, more) if part))


def draw(n: int, m: int, seed: int) -> NDArray[np.int64]:
    """m of n row numbers, ascending."""
    return np.sort(np.random.default_rng(seed).choice(n, m, replace=False)).astype(np.int64)


def exact_eigenvectors(X: F64, gamma: float, k: int) -> F64:
    """The leading k eigenvectors (n, k) of D^-1/2 K D^-1/2."""
    from scipy.linalg import eigh
    from sklearn.metrics.pairwise import rbf_kernel

    K = rbf_kernel(X, gamma=gamma)
    d = K.sum(axis=1)
    n = len(X)
    return np.asarray(eigh(K / np.sqrt(np.outer(d, d)), subset_by_index=[n - k, n - 1])[1])[:, ::-1]


def without_orthogonalisation(X: F64, drawn: NDArray[np.int64], gamma: float, k: int) -> F64:
    """The (n, k) columns that dask-ml 2025.1.0 clusters, before rows are normalised.

    With normalised blocks A (m, m) and B (m, n - m) and A = U S U^T: [A; B^T] U S^-1/2, which is orthogonal only where
    B B^T commutes with A (Fowlkes et al. 2004, section 3).
    """
    from sklearn.metrics.pairwise import rbf_kernel

    rest = np.setdiff1d(np.arange(len(X)), drawn)
    A, B = rbf_kernel(X[drawn], gamma=gamma), rbf_kernel(X[drawn], X[rest], gamma=gamma)
    own = 1 / np.sqrt(A.sum(axis=0) + B.sum(axis=1))
    others = 1 / np.sqrt(B.sum(axis=0) + B.T @ (np.linalg.pinv(A) @ B.sum(axis=1)))
    A, B = own[:, None] * A * own, own[:, None] * B * others
    U, S, _ = np.linalg.svd(A)
    V = np.empty((len(X), k))
    V[np.concatenate([drawn, rest])] = np.vstack([A, B.T]) @ U[:, :k] / np.sqrt(S[:k])
    return V

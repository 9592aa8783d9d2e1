"""Greedy k-means++ over weighted candidates, centrally (Arthur & Vassilvitskii 2007)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist


def plus_plus(
    X: NDArray[np.float64], sizes: NDArray[np.float64], count: int, random: np.random.Generator
) -> NDArray[np.float64] | None:
    """Greedy k-means++ over candidates X (c, d) with weights `sizes` (c,); (count, d), or None if fewer are distinct.

    Each step draws 2 + log(count) candidates and keeps the one that lowers phi most, as scikit-learn does: on 60 blobs
    a single draw ends 13 % above scikit-learn's inertia.
    """
    trials = 2 + int(np.log(count))
    centred = X - X.mean(axis=0)
    sq_norms = np.einsum("ij,ij->i", centred, centred)
    chosen: list[int] = []
    gaps = np.full(len(X), np.inf)
    mass = np.cumsum(sizes)
    for _ in range(count):
        if mass[-1] == 0:
            return None
        drawn = np.searchsorted(mass, random.random(trials) * mass[-1], side="right")
        sq_dists = centred @ (-2 * centred[drawn].T) + sq_norms[:, None] + sq_norms[drawn]
        left = sizes @ np.clip(sq_dists, 0, gaps[:, None])
        chosen.append(int(drawn[left.argmin()]))
        # The product above errs by rounding: exact differences, so that repeated rows have gap 0.
        gaps = np.minimum(gaps, cdist(X, X[chosen[-1:]], "sqeuclidean")[:, 0])
        mass = np.cumsum(sizes * gaps)
    return X[chosen]

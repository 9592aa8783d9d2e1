"""Centroids of embedded rows: scikit-learn's k-means, the same for one seed whatever the number of threads."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from landmark_ops.errors import InputError
from landmark_ops.numerics.random_streams import Stream, derived_seed

F64 = NDArray[np.float64]

STARTS = 10
START_ROWS = 20_000  # rows that the starts compete on; the best is then run to its end on all
MAX_ITERATIONS = 300


def kmeans_centroids(Y: F64, n_clusters: int, seed: int) -> tuple[F64, float]:
    """Centroids (c, k) of points Y (s, k), in random order, and the mean squared distance of a point to its own.

    Greedy k-means++ starts (Arthur & Vassilvitskii 2007) on the first START_ROWS points, the best of STARTS.
    Raises InputError where fewer than `n_clusters` points are distinct.
    """
    from sklearn.cluster import KMeans
    from threadpoolctl import threadpool_limits

    distinct = len(np.unique(np.round(Y, 12), axis=0))
    if distinct < n_clusters:
        raise InputError(
            f"n_clusters={n_clusters}: the embedded rows hold {distinct} distinct points, as many as clusters are "
            "needed at least: lower n_clusters, or choose a larger gamma"
        )
    start = derived_seed(seed, Stream.CLUSTER_STARTS, bits=32)
    with threadpool_limits(1):  # partial sums of several threads would round in another order
        found = KMeans(n_clusters, n_init=STARTS, max_iter=MAX_ITERATIONS, random_state=start).fit(Y[:START_ROWS])
        if len(Y) > START_ROWS:
            found = KMeans(n_clusters, init=found.cluster_centers_, n_init=1, max_iter=MAX_ITERATIONS).fit(Y)
    return np.asarray(found.cluster_centers_, np.float64), float(found.inertia_) / len(Y)

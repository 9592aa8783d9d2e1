"""Measures on a sample of rows, over batches of it: quality of the embedding and coverage by the landmarks."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from landmark_ops.engine.protocol import Engine
from landmark_ops.maps.landmark_map import LandmarkMap
from landmark_ops.numerics.distances import Array
from landmark_ops.numerics.kernel import Kernel
from landmark_ops.numerics.quality import Quality, summarize
from landmark_ops.numerics.query_sums import (
    QUERY_BATCH,
    QuerySums,
    judged_by_landmarks,
    neighbors_for,
    original_distances,
    query_sums,
)
from landmark_ops.numerics.random_streams import Stream, generator
from landmark_ops.passes.ranges import ranges
from landmark_ops.row_range import RowRange

COVER_BATCH = 512
MAX_QUERIES = 1000


class Cover(NamedTuple):
    """How near sampled rows are to landmarks."""

    nearest: NDArray[np.float64]  # (S,) distance to the nearest landmark
    cell_sizes: NDArray[np.int64]  # (m,) sampled rows nearest to each


def query_block(
    item: RowRange,
    X: Array,
    embedding: Array,
    fitted: LandmarkMap,
    neighbors: int,
    landmarks: NDArray[np.float64] | None,
) -> QuerySums:
    """Quality sums of one batch of queries against the whole sample."""
    return query_sums(item[0], item[1], X, embedding, fitted.block, neighbors, landmarks)


def sample_quality(
    X: Array,
    embedding: Array,
    fitted: LandmarkMap,
    engine: Engine,
    seed: int,
    landmarks: NDArray[np.float64] | None = None,
) -> Quality:
    """Quality on sampled rows X (S, d) placed at `embedding` (S, k); up to 1,000 of them are queries, drawn by seed.

    `landmarks` (m, k): the landmarks' coordinates, looked at where distances are known to landmarks only.
    """
    reached = None
    if landmarks is not None and judged_by_landmarks(fitted.block):
        reached = landmarks[np.isfinite(landmarks).all(axis=1)]
    order = generator(seed, Stream.QUALITY_QUERIES).permutation(len(X))
    X, embedding = X[order], embedding[order]
    neighbors = neighbors_for(len(X))
    items = ranges(min(MAX_QUERIES, len(X)), QUERY_BATCH)
    parts = dict(engine.imap(query_block, items, X, embedding, fitted, neighbors, reached))
    return summarize([parts[item] for item in items], neighbors, len(X))


def cover_block(item: RowRange, X: Array, fitted: LandmarkMap) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Distance to, and index of, the landmark nearest to each of the sampled rows item[0]..item[1]."""
    rows = X[item[0] : item[1]]
    if isinstance(fitted.block, Kernel) and fitted.block.family.precomputed:
        return np.full(len(rows), np.nan), rows.argmax(axis=1)  # no distance is known without k(x, x)
    distances = original_distances(rows, fitted.landmarks, fitted.block)
    return distances.min(axis=1), distances.argmin(axis=1)


def sample_cover(X: Array, fitted: LandmarkMap, engine: Engine) -> Cover:
    """Coverage of sampled rows X (S, d) by the landmarks, in the distance the method keeps."""
    items = ranges(len(X), COVER_BATCH)
    parts = dict(engine.imap(cover_block, items, X, fitted))
    nearest = np.concatenate([parts[item][0] for item in items])
    cells = np.concatenate([parts[item][1] for item in items])
    return Cover(nearest, np.bincount(cells, minlength=fitted.n_landmarks))

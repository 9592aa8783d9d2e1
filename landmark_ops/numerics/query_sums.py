"""Sampled rows compared with all others of the sample, before and after the embedding: sums per query.

S sampled rows; Q of them are queries, and each query is compared with all S. `quality.py` makes measures of the sums.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from landmark_ops.numerics.blocks import Block, evaluate_block, row_geometry
from landmark_ops.numerics.distances import Array, sq_euclidean
from landmark_ops.numerics.geodesic_block import Geodesic
from landmark_ops.numerics.kernel import Kernel, kernel_block, kernel_diagonal
from landmark_ops.numerics.metric import Metric, dists

F64 = NDArray[np.float64]
TIED = 1e-9  # relative difference of equal distances that rounding may cause
QUERY_BATCH = 64  # queries per (batch, S) distance block: 10 MB at S = 20,000


class QuerySums(NamedTuple):
    """Per query, (q,): sums over the other sampled rows, and neighbourhood scores."""

    pairs: F64
    original: F64  # sum of original distances o
    embedded: F64  # sum of embedded distances e
    original2: F64
    embedded2: F64
    product: F64
    misfit2: F64  # sum (o - e)^2
    trustworthiness: F64
    continuity: F64
    recall: F64


def original_distances(X: Array, Y: Array, block: Block) -> F64:
    """Distances the embedding is meant to keep: the metric, or in a kernel's feature space; (b, c) float64.

    Geodesics between any two rows are not known: neighbourhoods are judged by the metric under them.
    """
    X, Y = np.asarray(X, np.float64), np.asarray(Y, np.float64)
    geometry = row_geometry(block)
    if isinstance(geometry, Metric):
        return np.asarray(dists(X, Y, geometry), np.float64)
    own = kernel_diagonal(X, geometry)[:, None] + kernel_diagonal(Y, geometry)[None, :]
    squares = own - 2 * kernel_block(X, Y, geometry)
    return np.sqrt(np.maximum(squares, 0))


def judged_by_landmarks(block: Block) -> bool:
    """Whether distances are known to landmarks only: geodesics, and precomputed blocks."""
    return isinstance(block, Geodesic) or precomputed(block)


def precomputed(block: Block) -> bool:
    """Whether rows are their own block against the landmarks."""
    return isinstance(block, Metric | Kernel) and block.family.precomputed


def query_sums(
    start: int, stop: int, X: Array, embedding: Array, block: Block, neighbors: int, landmarks: F64 | None = None
) -> QuerySums:
    """Compare sampled rows start..stop with all S: X (S, d), embedding (S, k).

    `landmarks` (m, k): coordinates of the landmarks, where distances are kept to those alone (`judged_by_landmarks`):
    the sums then run over pairs of a row and a landmark. Neighbourhoods of rows known by such distances alone are NaN.
    """
    Y = np.asarray(embedding, np.float64)
    embedded = np.sqrt(sq_euclidean(Y[start:stop], Y))
    own = (np.arange(stop - start), np.arange(start, stop))
    sample, count = len(X), stop - start
    if landmarks is None:
        original = original_distances(X[start:stop], X, block)
        o, e = original.copy(), embedded.copy()
        o[own] = e[own] = 0.0
        pairs = np.full(count, sample - 1.0)
    else:
        squares = evaluate_block(block, np.asarray(X[start:stop], np.float64), np.empty((0, 0)))
        o = np.sqrt(np.maximum(squares, 0)) if not isinstance(block, Kernel) else np.full(squares.shape, np.nan)
        e = np.sqrt(sq_euclidean(Y[start:stop], landmarks))
        pairs = np.full(count, float(len(landmarks)))
        if precomputed(block):
            unknown = np.full(count, np.nan)
            return QuerySums(pairs, *_distance_sums(o, e), unknown, unknown, unknown)
        original = original_distances(X[start:stop], X, block)
    original[own] = embedded[own] = np.inf  # a row is not its own neighbour
    near_original = np.argpartition(original, neighbors - 1, axis=1)[:, :neighbors]
    near_embedded = np.argpartition(embedded, neighbors - 1, axis=1)[:, :neighbors]
    # Any of the rows that tie for the last place will do: which one is found is chance, and no fault of the embedding.
    reach = np.take_along_axis(original, near_original, axis=1).max(axis=1)
    shared = (np.take_along_axis(original, near_embedded, axis=1) <= reach[:, None] * (1 + TIED)).sum(axis=1)
    # Venna & Kaski 2006: 1 - 2 / (k (2 S - 3 k - 1)) * sum over intruders of (rank - k), here per query.
    most = neighbors * (2 * sample - 3 * neighbors - 1)
    scale = 2 / most if most > 0 else 0.0  # two rows: each is the other's only neighbour, there are no intruders
    return QuerySums(
        pairs,
        *_distance_sums(o, e),
        1 - scale * _excess_rank(original, near_embedded, neighbors),
        1 - scale * _excess_rank(embedded, near_original, neighbors),
        shared / neighbors,
    )


def _distance_sums(o: F64, e: F64) -> tuple[F64, F64, F64, F64, F64, F64]:
    """Sums over the columns of original distances o and embedded ones e, in the order of `QuerySums`."""
    oo, ee, oe = (np.einsum("ij,ij->i", a, b) for a, b in ((o, o), (e, e), (o, e)))
    return o.sum(axis=1), e.sum(axis=1), oo, ee, oe, ((o - e) ** 2).sum(axis=1)


def _excess_rank(distances: F64, members: NDArray[np.int64], neighbors: int) -> F64:
    """Sum over `members` of max(0, rank - k), rank 1 being nearest; ties rank as their nearest."""
    total = np.zeros(len(distances))
    for column in members.T:
        limit = np.take_along_axis(distances, column[:, None], axis=1)
        rank = 1 + (distances < limit).sum(axis=1)
        total += np.maximum(rank - neighbors, 0)
    return total


def neighbors_for(sample: int) -> int:
    """10 neighbours, fewer on tiny samples: the measures need 3 k + 1 < 2 S."""
    return max(1, min(10, (sample - 1) // 2))

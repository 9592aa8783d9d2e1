"""Affine weights of rows on their nearest landmarks, the block of locally linear landmarks.

x is written as sum_j w_j z_j over its nearest landmarks with sum_j w_j = 1, as in locally linear embedding (Roweis &
Saul 2000, eq. 1, regularised as by Saul & Roweis 2003): coordinates of landmarks then carry over to x by the same sum.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from landmark_ops.numerics.distances import Array, sq_euclidean

BATCH_ELEMENTS = 1 << 22  # of differences (rows, neighbours, d) held at once, 32 MiB of float64


def affine_weights(differences: Array, regularization: float) -> Array:
    """Weights (b, p) summing to 1 that minimise |sum_j w_j d_j|^2, with a ridge, for differences d (b, p, d)."""
    b, count, _ = differences.shape
    gram = np.einsum("bid,bjd->bij", differences, differences)
    trace = np.einsum("bii->b", gram)
    gram[:, np.arange(count), np.arange(count)] += (regularization * np.where(trace > 0, trace, 1.0))[:, None]
    weights = np.linalg.solve(gram, np.ones((b, count, 1)))[:, :, 0]
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))


@dataclass(frozen=True, eq=False)
class Weights:
    """Weights on `neighbors` nearest landmarks, in Euclidean geometry; ridge `regularization` x trace of the Gram."""

    neighbors: int
    regularization: float = 1e-3

    name: ClassVar[str] = "weights"
    fn: ClassVar[None] = None

    def block(self, X: Array, Z: Array) -> Array:
        """Weights of rows X (b, d) on landmarks Z (m, d): (b, m) float64, rows sum to 1, `neighbors` not zero.

        A row that coincides with a landmark has weight 1 on it (the first such), so that landmarks keep their place.
        Rows holding NaN or Inf get NaN.
        """
        X, Z = np.asarray(X, np.float64), np.asarray(Z, np.float64)
        count = min(self.neighbors, len(Z))
        out = np.zeros((len(X), len(Z)))
        step = max(1, BATCH_ELEMENTS // (count * max(Z.shape[1], count)))
        for at in range(0, len(X), step):
            out[at : at + step] = self._batch(X[at : at + step], Z, count)
        return out

    def _batch(self, X: Array, Z: Array, count: int) -> Array:
        finite = np.asarray(np.isfinite(X).all(axis=1))
        X = np.where(finite[:, None], X, 0.0)
        gaps: Array = sq_euclidean(X, Z)
        near = np.sort(np.argpartition(gaps, count - 1, axis=1)[:, :count], axis=1)
        order = np.argsort(np.take_along_axis(gaps, near, axis=1), axis=1, kind="stable")  # ties: the lowest index
        near = np.take_along_axis(near, order, axis=1)
        weights = affine_weights(Z[near] - X[:, None, :], self.regularization)
        here = np.flatnonzero(gaps[np.arange(len(X)), near[:, 0]] == 0)
        weights[here] = np.eye(1, count)
        out = np.zeros((len(X), len(Z)))
        np.put_along_axis(out, near, weights, axis=1)
        out[~finite] = np.nan
        return out

    def to_state(self) -> tuple[dict[str, Array], dict[str, Any]]:
        """Parameters alone."""
        return {}, {"neighbors": self.neighbors, "regularization": self.regularization}

    @staticmethod
    def from_state(arrays: Mapping[str, Array], meta: Mapping[str, Any]) -> Weights:
        """Rebuild from `to_state`."""
        return Weights(int(meta["neighbors"]), float(meta["regularization"]))

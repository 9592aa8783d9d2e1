"""A pool of rows with bounds on their residuals, brought up to date only where that decides what is next."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_triangular

from landmark_ops.numerics.distances import Array
from landmark_ops.numerics.kernel import Kernel, kernel_block
from landmark_ops.numerics.metric import Metric, sq_dists
from landmark_ops.selection.kernel_values import diagonal
from landmark_ops.selection.nearest import refuse_undefined
from landmark_ops.selection.pivots import F64
from landmark_ops.selection.residuals import RANK_CUTOFF

TOGETHER = 64  # rows updated at once where one call evaluates many pairs, else one at a time
NEGATIVE = 1e-6  # of k(x, x): a residual this far below 0 is no rounding


class Pool:
    """Rows (T, d) with bounds on their residuals, brought up to date on demand.

    Attributes
    ----------
    left
        (T,) residual after the first `known` (T,) of the landmarks; no later residual is larger.
    chosen
        Positions of the landmarks, in order.
    near
        (T,) for a metric: squared distance from the nearest of the origin and the first `known` landmarks.
    evaluations
        How often the kernel or metric was evaluated on a pair of rows.
    """

    def __init__(self, X: Array, m: int, look: Kernel | Metric) -> None:
        self.X, self.look, self.evaluations = X, look, 0
        self.chosen: list[int] = []
        self.overshot = 0
        self.spanned = -1  # how many landmarks explained all rows, if they did
        self.together = 1 if look.fn is not None and not look.blockwise else TOGETHER
        if isinstance(look, Kernel):
            self.left = diagonal(X, look)
            self.floor = RANK_CUTOFF * self.left
            self.evaluations += len(X) if look.fn is not None else 0
        else:
            self.left = self.squares(np.arange(len(X)), [0])[:, 0]
            self.left[0] = 0.0
            self.near = self.left.copy()
            # Differences of distances err by the largest of them.
            self.floor = np.full(len(X), RANK_CUTOFF * self.left.max())
            self.origin = self.left.copy()
        self.diag = self.left.copy()
        self.left[self.left <= self.floor] = 0.0
        self.known = np.zeros(len(X), np.int64)
        self.F = np.zeros((len(X), m))

    def squares(self, which: NDArray[np.int64], others: list[int]) -> F64:
        """Squared distances of pool rows (b,) from others (j,), (b, j)."""
        assert isinstance(self.look, Metric)
        self.evaluations += len(which) * len(others)
        found = np.asarray(sq_dists(self.X[which], self.X[others], self.look), np.float64)
        return refuse_undefined(found, self.look)

    def approach(self, which: NDArray[np.int64], others: list[int]) -> F64:
        """Squared distances of pool rows from landmarks, (b, j), with `near` brought up to date."""
        squares = self.squares(which, others)
        self.near[which] = np.minimum(self.near[which], squares.min(axis=1))
        return squares

    def values(self, which: NDArray[np.int64], others: list[int]) -> F64:
        """k(x, z) of pool rows (b,) and others (j,), (b, j)."""
        if isinstance(self.look, Metric):
            return (self.origin[which, None] + self.origin[others] - self.approach(which, others)) / 2
        self.evaluations += len(which) * len(others)
        return np.asarray(kernel_block(self.X[which], self.X[others], self.look), np.float64)

    def refresh(self, which: NDArray[np.int64]) -> None:
        """Bring rows (b,) of the same `known` up to date with all landmarks."""
        at, now = int(self.known[which[0]]), len(self.chosen)
        new = self.chosen[at:now]
        if self.spanned >= 0:
            self.approach(which, new)
            self.left[which], self.known[which] = self.near[which], now
            return
        L = self.F[self.chosen, :now]
        rest = self.values(which, new) - self.F[which, :at] @ L[at:, :at].T
        F = solve_triangular(L[at:, at:], rest.T, lower=True, check_finite=False).T
        self.F[which, at:now] = F
        left = self.left[which] - np.einsum("ij,ij->i", F, F)
        self.overshot += int((left < -NEGATIVE * self.diag[which]).sum())
        self.left[which] = np.where(left > self.floor[which], left, 0.0)
        self.known[which] = now

    def go_farthest(self) -> None:
        """From now on, what is left of a row is its squared distance from the nearest landmark."""
        self.spanned = len(self.chosen)
        self.left = self.near.copy()
        self.left[[0, *self.chosen]] = 0.0

    def advance(self) -> float:
        """Take the row with the largest residual as the next landmark; returns that residual, 0 if nothing is left."""
        now = len(self.chosen)
        while True:
            best = int(self.left.argmax())
            if self.left[best] == 0:
                return 0.0
            if self.known[best] == now:
                break
            alike = np.flatnonzero((self.known == self.known[best]) & (self.left > 0))
            if len(alike) > self.together:
                largest = np.argsort(-self.left[alike], kind="stable")[: self.together]
                alike = alike[largest]
            self.refresh(alike)
        residual = float(self.left[best])
        self.F[best, now] = np.sqrt(residual)
        self.left[best], self.known[best] = 0.0, now + 1
        self.chosen.append(best)
        return residual

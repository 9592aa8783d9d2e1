"""Candidate rows found by a pass, from which landmarks are chosen centrally, one at a time."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from landmark_ops.numerics.distances import Array
from landmark_ops.numerics.kernel import Kernel
from landmark_ops.selection.kernel_values import diagonal, gram
from landmark_ops.selection.pivots import F64, Pivots
from landmark_ops.selection.residuals import RANK_CUTOFF, clear, features
from landmark_ops.selection.sweep import Sweep
from landmark_ops.selection.usable_rows import working_rows


class Candidates:
    """Rows from which landmarks are chosen centrally, one at a time, in float64.

    Attributes
    ----------
    stored, X
        (c, d) as stored, and as float64.
    F
        (c, j + room) features, the first `used` columns of it so far.
    now
        (c,) residuals, 0 for chosen rows and for those within rounding of 0.
    """

    def __init__(self, indices: NDArray[np.int64], stored: Array, X: F64, F: F64, used: int, diag: F64) -> None:
        self.indices, self.stored, self.X, self.F, self.used = indices, stored, X, F, used
        self.floor = RANK_CUTOFF * diag
        self.now = clear(diag - np.einsum("ij,ij->i", F, F), self.floor)

    @classmethod
    def of(cls, found: Sweep, pivots: Pivots, kernel: Kernel, most: int) -> Candidates:
        """The candidates of a pass, with room for `most` landmarks in all."""
        X = working_rows(found.stored, None).astype(np.float64)
        F = np.zeros((len(X), most))
        F[:, : len(pivots.L)] = features(X, working_rows(pivots.stored, None).astype(np.float64), pivots.L, kernel)
        return cls(found.indices, found.stored, X, F, len(pivots.L), diagonal(X, kernel))

    def take(self, which: int, kernel: Kernel) -> F64:
        """Make a candidate a landmark; returns its feature of all candidates, (c,)."""
        a, root = self.used, np.sqrt(self.now[which])
        column = gram(self.X, self.X[which : which + 1], kernel)[:, 0]
        self.F[:, a] = (column - self.F[:, :a] @ self.F[which, :a]) / root
        self.F[which, a] = root
        self.now = clear(self.now - self.F[:, a] ** 2, self.floor)
        self.now[which] = 0.0
        self.used += 1
        return self.F[:, a]

    def gram(self, kernel: Kernel) -> F64:
        """The kernel among the candidates less what `F` explains, (c, c), Fortran order."""
        F = self.F[:, : self.used]
        return np.asfortranarray(gram(self.X, self.X, kernel) - F @ F.T)

    def shrunk(self, found: Sweep) -> float:
        """By what factor the candidates' residuals have fallen since the pass that found them, on average."""
        return float(np.mean(self.now / found.residuals)) if len(self.now) else 0.0

    def extend(self, pivots: Pivots, chosen: list[int]) -> Pivots:
        """`pivots` and the candidates `chosen`, in the order they were taken: their features are rows of L."""
        before = len(pivots.L)
        L = np.zeros((self.used, self.used))
        L[:before, :before] = pivots.L
        L[before:] = self.F[chosen, : self.used]
        indices = np.concatenate([pivots.indices, self.indices[chosen]])
        return Pivots(indices, np.concatenate([pivots.stored, self.stored[chosen]]), np.tril(L))

"""Landmarks where the ones so far say least, for costly kernels and distances: the row with the largest residual.

With a kernel that is the row of largest Gaussian process variance: greedily pivoted Cholesky. With a metric it is the
row whose squared distance from what the landmarks span is largest, which LMDS leaves unexplained: the same, for
k(x, y) = (|x - o|^2 + |y - o|^2 - |x - y|^2) / 2 with the first landmark as origin o. (maxmin asks for the distance
from the nearest landmark instead: a row between two landmarks may be far from both and yet be explained.) Where squared
distances are not Euclidean, residuals below 0 count as explained. Once a metric leaves no row unexplained, d + 1
landmarks at most for d Euclidean features, the farthest from the nearest landmark are next, which the note says.

Evaluations are what costs. Only a pool of uniformly drawn rows is looked at, and lazily: residuals only fall, so an
old one is a bound, and a row is brought up to date only when its bound is the largest (Minoux 1978). The landmarks are
exactly those of the full greedy over the pool.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_triangular

from landmark_ops.numerics.distances import Array, Metric, sq_dists
from landmark_ops.numerics.kernel import Kernel, kernel_block
from landmark_ops.selection.draws import draw_rows
from landmark_ops.selection.kernel_values import diagonal
from landmark_ops.selection.landmarks import Landmarks, equal_weights
from landmark_ops.selection.nearest import refuse_undefined
from landmark_ops.selection.pivots import F64
from landmark_ops.selection.request import Request, too_few
from landmark_ops.selection.residuals import RANK_CUTOFF
from landmark_ops.selection.strategy import STRATEGIES, Strategy
from landmark_ops.selection.usable_rows import row_rule, working_rows

LOOKED = 32  # rows of the pool per landmark
LEAST_LOOKED = 1 << 10
# Numbers in the pool's features (pool, m), and in its rows, at most; but no fewer rows than LEAST_PER_LANDMARK m.
MOST_ELEMENTS = 1 << 24
LEAST_PER_LANDMARK = 4
TOGETHER = 64  # rows brought up to date at once where one call evaluates many pairs, else one at a time
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
        self.spanned = -1  # how many landmarks explained all rows, where it came to that
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


def select_active(ask: Request) -> Landmarks:
    """`count` rows of a uniformly drawn pool. Raises InputError where the others are explained before."""
    rows, m = ask.rows, ask.count
    look: Kernel | Metric = ask.kernel or ask.geometry
    rule = row_rule(look) if isinstance(look, Kernel) else look
    ask.plan(0)
    size = pool_rows(rows.n, rows.d, m)
    drawn = draw_rows(replace(ask, metric=rule, done=None, planned=None), size, 1)
    size = len(drawn.indices)
    X = working_rows(drawn.points, rule).astype(np.float64)
    pool = Pool(X, m, look)
    origin = isinstance(look, Metric)
    picked = [0] if origin else []
    falls: list[float] = []
    while len(picked) < m:
        last = pool.advance()
        if last > 0:
            falls.append(last)
            picked.append(pool.chosen[-1])
        elif origin and pool.spanned < 0:
            pool.go_farthest()
        else:
            why = "coincide with these" if origin else "are explained by these, up to rounding"
            raise too_few(ask, len(picked), f"the others of {size} rows looked at {why}")
    return Landmarks(
        drawn.indices[picked],
        drawn.points[picked],
        equal_weights(rows.n, m),
        describe(ask, look, pool, falls),
        pool.evaluations,
    )


def describe(ask: Request, look: Kernel | Metric, pool: Pool, falls: list[float]) -> str:
    """The note: what was looked at, what it cost, and what is left."""
    m, n, size = ask.count, ask.rows.n, len(pool.X)
    name = f"kernel {look.name}" if isinstance(look, Kernel) else f"metric {look.name}"
    whole = "all rows" if size == n else f"{size} of {n} rows drawn uniformly"
    sure = "" if size == n else f", which with 95 % confidence meet any given {3 / size:.2%} of the rows"
    note = (
        f"active: {m} rows, each the one with the largest unexplained residual under {name} among {whole}{sure}; "
        f"{pool.evaluations} evaluations of {name}"
    )
    by_residual = falls if pool.spanned < 0 else falls[: pool.spanned]
    if by_residual:
        note += f"; residual {by_residual[0]:.3g} first, {by_residual[-1]:.3g} last"
    if pool.spanned >= 0:
        note += f"; {pool.spanned + 1} landmarks explained all, the others are the farthest from the nearest landmark"
    if pool.overshot:
        note += f"; {pool.overshot} residuals fell below 0: {name} is not Euclidean"
    return note


def pool_rows(n: int, d: int, m: int) -> int:
    """How many rows are looked at."""
    most = max(MOST_ELEMENTS // max(m, d), LEAST_PER_LANDMARK * m)
    return min(n, max(LOOKED * m, LEAST_LOOKED), most)


STRATEGIES.register(
    Strategy("active", select_active, passes=1, compares_by="either", order=7, colour="#c2362b", mark="P")
)

"""Active selection, for costly kernels and distances: each next landmark is the row with the largest residual.

With a kernel that is the row of largest Gaussian process variance: greedily pivoted Cholesky. With a metric it is the
row whose squared distance from the span of the landmarks is largest, the part that LMDS leaves unexplained: the same,
for k(x, y) = (|x - o|^2 + |y - o|^2 - |x - y|^2) / 2 with the first landmark as origin o. (maxmin asks for the distance
from the nearest landmark instead: a row between two landmarks may be far from both and yet be explained.) Where squared
distances are not Euclidean, residuals below 0 count as explained. Once a metric leaves no row unexplained, d + 1
landmarks at most for d Euclidean features, the farthest from the nearest landmark are next, which the note says.

Evaluations are the cost. Only a pool of uniformly drawn rows is considered, and lazily: residuals only fall, so an
old one is a bound, and a row is brought up to date only when its bound is the largest (Minoux 1978). The landmarks are
exactly those of the full greedy over the pool.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from landmark_ops.numerics.kernel import Kernel
from landmark_ops.numerics.metric import Metric
from landmark_ops.selection.draws import draw_rows
from landmark_ops.selection.landmarks import Landmarks, equal_weights
from landmark_ops.selection.pool import Pool
from landmark_ops.selection.request import Request, too_few
from landmark_ops.selection.strategy import STRATEGIES, Strategy
from landmark_ops.selection.usable_rows import row_rule, working_rows

LOOKED = 32  # rows of the pool per landmark
LEAST_LOOKED = 1 << 10
# Numbers in the pool's features (pool, m), and in its rows, at most; but no fewer rows than LEAST_PER_LANDMARK m.
MOST_ELEMENTS = 1 << 24
LEAST_PER_LANDMARK = 4


def select_active(ask: Request) -> Landmarks:
    """`count` rows of a uniformly drawn pool. Raises InputError where fewer explain all others."""
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
    """The note: the pool, the evaluations, and the error that is left."""
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
    """How many rows the pool has."""
    most = max(MOST_ELEMENTS // max(m, d), LEAST_PER_LANDMARK * m)
    return min(n, max(LOOKED * m, LEAST_LOOKED), most)


STRATEGIES.register(
    Strategy("active", select_active, passes=1, compares_by="either", order=7, colour="#c2362b", mark="P")
)

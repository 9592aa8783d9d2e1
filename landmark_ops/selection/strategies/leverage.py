"""Landmarks drawn by ridge leverage score: recursive RLS-Nystrom (Musco & Musco 2017, algorithm 3).

Scores of all rows are judged from a weighted sample of a quarter of them, whose scores are judged from a sample of a
quarter of those, and so on down to as many rows as landmarks. Levels that fit one worker are gone through centrally;
each larger one is a pass that evaluates the kernel for its own rows only, n (1 + 1/4 + 1/16 ...) m evaluations
together. The ridge lambda is the tail of the spectrum beyond its k = m / (4 log m) largest eigenvalues over k.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from landmark_ops.numerics.random_streams import RowStream
from landmark_ops.selection.draws import draw_rows
from landmark_ops.selection.landmarks import Landmarks
from landmark_ops.selection.levels import (
    central_levels,
    core_rows,
    level_above,
    level_shares,
)
from landmark_ops.selection.pivots import precision_for
from landmark_ops.selection.request import Request, kernel_of, too_few
from landmark_ops.selection.scores import (
    inclusion,
    ridge_pivots,
    tail_rank,
    tail_ridge,
)
from landmark_ops.selection.strategy import STRATEGIES, Strategy
from landmark_ops.selection.sweep import Draw, sweep
from landmark_ops.selection.usable_rows import row_rule


def select_leverage(ask: Request) -> Landmarks:
    """`count` rows without replacement with weights tau, by an exponential race; rows that coincide once.

    Weights are 1 / (probability of being drawn): their sum estimates n, less the rows that coincide with others.
    Raises InputError where fewer rows have a positive score.
    """
    kernel, rows, m = kernel_of(ask), ask.rows, ask.count
    base = replace(ask, metric=row_rule(kernel), done=None, planned=None)
    size = core_rows(rows.n, rows.d, m)
    shares = level_shares(rows.n, size)
    passes = len(shares) + 1
    ask.plan(passes * rows.n)
    kept = central_levels(ask, draw_rows(base, size, 1), kernel)
    for number, share in enumerate(shares):
        kept = level_above(kept, share, number, ask, kernel)
    k = tail_rank(m)
    ridge = tail_ridge(kept, kernel, k)
    draw = Draw(m + 1, ask.seed, RowStream.LEVERAGE_ROWS, cap=ridge.value, distinct=True)
    pivots = ridge_pivots(kept, ridge.value, kernel)
    found = sweep(ask, pivots, draw, precision_for(rows, ridge.relative, pivots))
    if len(found.indices) < m:
        raise too_few(ask, len(found.indices), "the other rows have leverage 0 or coincide with these")
    threshold = float(found.keys[m]) if len(found.keys) > m else np.inf
    weights = 1 / inclusion(np.minimum(found.residuals[:m] / ridge.value, 1.0), threshold)
    note = (
        f"leverage: {m} of {rows.n} rows by ridge leverage score under kernel {kernel.name}, recursive RLS-Nystrom "
        f"with {len(kept.indices)} rows in the last sample, {passes} passes; ridge {ridge.value:.6g} there, the "
        f"spectrum beyond its {k} largest eigenvalues over {k}; scores within a constant factor with high probability "
        "(Musco & Musco 2017)"
    )
    return Landmarks(found.indices[:m], found.stored[:m], weights, note)


STRATEGIES.register(
    Strategy("leverage", select_leverage, passes=3, compares_by="kernel", order=3, colour="#8e4bb8", mark="D")
)

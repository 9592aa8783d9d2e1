"""Landmarks drawn by ridge leverage score: BLESS (Rudi, Calandriello, Carratino & Rosasco 2018), by rejection.

The ridge is halved at each step, starting where every row has the same score. Step h scores R = Q k_max / lambda_h
rows drawn uniformly with the weighted sample of the step before, and keeps some of them by their score (BLESS-R,
algorithm 2). No pass over the rows is made: the cost, R times the size of the samples, does not depend on n.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from landmark_ops.numerics.random_streams import Stream, derived_seed, generator
from landmark_ops.selection.draws import draw_rows
from landmark_ops.selection.kernel_values import diagonal
from landmark_ops.selection.landmarks import Landmarks
from landmark_ops.selection.race import first_of_equals, race
from landmark_ops.selection.request import Request, kernel_of, too_few
from landmark_ops.selection.scores import Weighted, inclusion, keep, oversampling, score
from landmark_ops.selection.strategy import STRATEGIES, Strategy
from landmark_ops.selection.usable_rows import row_rule, working_rows

Q = 4  # rows scored per unit of k_max / lambda
SHRINK = 2.0  # how much the ridge falls per step
LEAST_LOOKED = 8  # least rows scored per landmark
MOST_ROWS = 1 << 17  # most rows scored in one step, and numbers in them
MOST_ELEMENTS = 1 << 25
LEAST_RIDGE = 1e-13  # of the largest k(x, x)


def select_bless(ask: Request) -> Landmarks:
    """`count` rows without replacement with weights tau, among the rows of the last step; rows that coincide once.

    The ridge falls until its effective dimension is count / log(count), or until so many rows would have to be looked
    at that they do not fit; the note says which. Weights are 1 / (probability of being drawn).
    """
    kernel, n, m = kernel_of(ask), ask.rows.n, ask.count
    base = replace(ask, metric=row_rule(kernel), done=None, planned=None)
    most = min(n, max(min(MOST_ROWS, MOST_ELEMENTS // ask.rows.d), 2 * m))
    factor, wanted = oversampling(m), m / oversampling(m)
    kept = Weighted(np.zeros(0, np.int64), np.zeros((0, ask.rows.d), ask.rows.dtype), np.zeros(0))
    least = LEAST_LOOKED * m
    step, ridge, largest, dimension, evaluations, why = 0, 1.0, 0.0, 0.0, 0, ""
    while not why:
        size = min(most, max(least, int(np.ceil(Q / ridge))))
        looked = draw_rows(replace(base, seed=derived_seed(ask.seed, Stream.BLESS_DRAW, step)), size, 1)
        if len(looked.indices) < size:
            most = size = n = len(looked.indices)  # no other row is usable
        if step == 0:
            largest = float(diagonal(working_rows(looked.points, None), kernel).max())
            if largest == 0:
                raise too_few(ask, 0, f"k(x, x) is 0 for all {size} rows looked at")
        share = size / n
        scores = score(looked.points, kept, ridge * largest * n, kernel, ask.engine)
        evaluations += size * len(kept.indices)
        dimension = float(scores.sum()) / share
        if size < most and np.count_nonzero(scores) < m:  # few rows have any leverage
            least = 4 * size
        elif dimension >= wanted:
            why = f"its effective dimension, about {dimension:.3g}, reaches {m} / log {m}"
        elif most < n and Q / (ridge / SHRINK) > most:
            why = f"a smaller one needs more than {most} rows; its effective dimension is about {dimension:.3g}"
        elif ridge <= LEAST_RIDGE:
            why = f"rounding ends here; its effective dimension is about {dimension:.3g}"
        else:
            random = generator(ask.seed, Stream.BLESS, step)
            probability = np.minimum(factor * scores, share)
            kept = keep(looked.indices, looked.points, probability / share, random.random(size))
            kept = kept._replace(probability=kept.probability * share)
            ridge, step = ridge / SHRINK, step + 1
    random = generator(ask.seed, Stream.BLESS, step)
    keys = race(scores, random.random(size))
    order = np.argsort(keys, kind="stable")
    order = order[np.isfinite(keys[order])]
    order = order[first_of_equals(looked.points, order, m + 1)]
    if len(order) < m:
        raise too_few(ask, len(order), f"the other rows of {size} looked at have leverage 0 or coincide with these")
    threshold = float(keys[order[m]]) if len(order) > m else np.inf
    chosen = order[:m]
    weights = 1 / (share * inclusion(scores[chosen], threshold))
    ask.plan(0)
    note = (
        f"bless: {m} of {size} rows, drawn uniformly from {n}, by ridge leverage score under kernel {kernel.name}; "
        f"{step} steps, {evaluations} evaluations of the kernel; ridge {ridge * largest * n:.6g}: {why}; scores within "
        "a constant factor with high probability where samples are as large as asked for (Rudi et al. 2018)"
    )
    return Landmarks(looked.indices[chosen], looked.points[chosen], weights, note, evaluations)


STRATEGIES.register(
    Strategy("bless", select_bless, passes=3, compares_by="kernel", order=4, colour="#d06fb0", mark="v")
)

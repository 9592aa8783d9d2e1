"""Randomly pivoted Cholesky (Chen, Epperly, Tropp & Webber 2022): landmarks drawn in proportion to their residual.

Accelerated by rejection (Epperly, Tropp & Webber 2024): proposals drawn in proportion to the residuals d before a
round are taken one after the other, each accepted with probability d_now / d, so that the accepted ones follow the
law of drawing one landmark at a time, exactly. A round is one pass over all rows, which computes d anew from the
landmarks so far: n j evaluations of the kernel and n j^2 multiplications, and nothing of length n anywhere.

A pass cannot know the sum of d before its end. It therefore runs an exponential race, whose first rows are a draw
without replacement, which is turned centrally into draws with replacement: each draw is one of the rows already drawn
with probability (their d) / (sum of d), else the next row of the race.
"""

from __future__ import annotations

import numpy as np

from landmark_ops.errors import InputError, Word
from landmark_ops.numerics.random_streams import RowStream, Stream, generator
from landmark_ops.selection.landmarks import Landmarks, equal_weights
from landmark_ops.selection.pivots import Pivots, no_pivots, precision_for
from landmark_ops.selection.rejection import WITNESSES, accept, trace_errors
from landmark_ops.selection.request import Request, kernel_of, too_few
from landmark_ops.selection.strategy import STRATEGIES, Strategy
from landmark_ops.selection.sweep import Draw, sweep

PROPOSED = 2  # rows proposed per landmark asked for, and SPARE more
SPARE = 256
# With a tolerance a round accepts at most so many landmarks, or as many as there are: at most half are wasted.
LEAST_ACCEPTED = 64
EXPECTED_PASSES = 3


def select_rpcholesky(ask: Request) -> Landmarks:
    """`count` landmarks, or with `tolerance` the fewest of the same sequence whose relative trace error is within it.

    Raises InputError where the residuals of all rows are used up before `count` without tolerance, and where `count`
    landmarks do not reach the tolerance.
    """
    kernel, n, m = kernel_of(ask), ask.rows.n, ask.count
    random = generator(ask.seed, Stream.RPCHOLESKY)
    pivots, passes, relative, exhausted = no_pivots(ask.rows), 0, 1.0, False
    notes = ""
    while True:
        ask.plan(max(EXPECTED_PASSES, passes + 1) * n)
        draw = Draw(PROPOSED * m + SPARE, ask.seed, RowStream.RPCHOLESKY_ROWS, passes)
        precision = precision_for(ask.rows, relative, pivots)
        found = sweep(ask, pivots, draw, precision)
        passes += 1
        errors = trace_errors(found)
        if ask.tolerance is not None and found.rows and errors[-1] <= ask.tolerance:
            kept = int(np.argmax(errors <= ask.tolerance))
            pivots = Pivots(pivots.indices[:kept], pivots.stored[:kept], pivots.L[:kept, :kept])
            notes = f"relative trace error {errors[kept]:.3g}, within the tolerance {ask.tolerance:g}"
            break
        if ask.tolerance is not None and len(pivots.indices) == m:
            raise InputError(
                f"strategy rpcholesky: {Word.TOLERANCE} {ask.tolerance:g} not reached, the relative trace error is "
                f"{errors[-1]:.3g} with {m} landmarks, the most that {Word.COUNT} allows: raise {Word.COUNT}, or "
                f"{Word.TOLERANCE} above {errors[-1]:.3g}"
            )
        before = len(pivots.indices)
        most = m if ask.tolerance is None else min(m, before + max(LEAST_ACCEPTED, before))
        result = accept(found, pivots, kernel, most, random)
        pivots, accepted = result.pivots, len(result.pivots.indices) - before
        exhausted = accepted == 0 and precision == "float64"
        if exhausted and ask.tolerance is None:
            raise too_few(ask, before, "the residuals of all rows are 0 up to rounding: the others add nothing")
        if exhausted:  # only rounding is left, and it does not come below the tolerance
            raise InputError(
                f"strategy rpcholesky: {Word.TOLERANCE} {ask.tolerance:g} not reached, the relative trace error is "
                f"{errors[-1]:.3g} with {before} landmarks, the rest is rounding: raise {Word.TOLERANCE} above it"
            )
        relative = errors[-1] * result.ratio
        if ask.tolerance is None and len(pivots.indices) == m:
            notes = f"relative trace error {errors[-1]:.3g} with the first {before}"
            if result.witnesses >= WITNESSES:
                notes += f", about {relative:.2g} with all (estimated from {result.witnesses} proposals left over)"
            break
    ask.plan(passes * n)
    chosen = len(pivots.indices)
    note = (
        f"rpcholesky: {chosen} of {n} rows drawn in proportion to their residual under kernel {kernel.name}, exactly "
        f"as one at a time, in {passes} passes; {notes}; expected error within 1 + eps of the best rank r "
        f"with r/eps + r log(1/(eps eta)) landmarks (Chen et al. 2022)"
    )
    return Landmarks(pivots.indices, pivots.stored, equal_weights(n, chosen), note)


STRATEGIES.register(
    Strategy(
        "rpcholesky",
        select_rpcholesky,
        passes=8,
        compares_by="kernel",
        takes_tolerance=True,
        order=5,
        colour="#0f8b6d",
        mark="o",
    )
)

"""Proposals drawn in proportion to residuals before a round, accepted so that they follow the current residuals.

Epperly, Tropp & Webber 2024.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from landmark_ops.numerics.kernel import Kernel
from landmark_ops.selection.candidates import Candidates
from landmark_ops.selection.pivots import F64, Pivots
from landmark_ops.selection.sweep import Sweep

DRAWS = 4  # draws per row proposed, at most: if all rows are proposed, each is drawn again and again
SAME = 1e-9  # two sums of the same residuals differ by less
WITNESSES = 32  # unused proposals needed to estimate the remaining error


class Round(NamedTuple):
    """The landmarks after a round, and (sum of d_now) / (sum of d), estimated from unused proposals, if any."""

    pivots: Pivots
    ratio: float
    witnesses: int


def accept(found: Sweep, pivots: Pivots, kernel: Kernel, most: int, random: np.random.Generator) -> Round:
    """Go through the proposals of one pass and accept landmarks until there are `most`, all in float64.

    The round ends once every proposal has been looked at (never because the next one is unknown: that would favour
    the known ones), or after DRAWS draws per proposal.
    """
    candidates = Candidates.of(found, pivots, kernel, most)
    weights, c = found.residuals, len(found.indices)
    chosen: list[int] = []
    mass, seen = np.cumsum(weights), 0
    for _ in range(DRAWS * c):
        if candidates.used == most or (seen == c and mass[-1] < found.left * (1 - SAME)):
            break
        again, which, chance = random.random(3)
        if seen and (seen == c or again * found.left < mass[seen - 1]):
            s = int(np.searchsorted(mass[:seen], which * mass[seen - 1], side="right"))
        else:
            s, seen = seen, seen + 1
        if chance * weights[s] < candidates.now[s]:
            candidates.take(s, kernel)
            chosen.append(s)
    ratio = 0.0
    if c:
        # Residuals of the proposals used are known; the next ones in the race stand for all other rows.
        judges = slice(seen, c) if c - seen >= WITNESSES else slice(0, c)
        looked = mass[seen - 1] if seen else 0.0
        others = max(found.left - looked, 0.0) * float(np.mean(candidates.now[judges] / weights[judges]))
        ratio = (float(candidates.now[:seen].sum()) + others) / found.left
    return Round(candidates.extend(pivots, chosen), ratio, c - seen)


def trace_errors(found: Sweep) -> F64:
    """The relative trace error with the first 0, 1, ..., j landmarks, (j + 1,), from what each of them took away.

    Summed from the end, so that small errors are not differences of large numbers. 0 where the trace is 0.
    """
    after = found.left + np.concatenate([np.cumsum(found.explained[::-1])[::-1], [0.0]])
    return after / found.trace if found.trace > 0 else np.zeros(len(after))

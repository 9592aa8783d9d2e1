"""Greedy column subset selection: each next landmark is the row that lowers the trace error most.

Farahat, Ghodsi & Kamel 2011: with E = K - K_nZ K_ZZ^-1 K_Zn, landmark l lowers the trace by |E_:l|^2 / E_ll. Up to
EXACT_ROWS rows that is computed as it stands. Beyond, K is too large to compute, so two things are sampled:
candidates, drawn in rounds in proportion to their residual, and the norm |E_:l|^2, by a random partition of the rows
(their section on sketches, here with random signs): rows are put into GROUPS groups, and the columns of E summed within
each with signs, which keeps a squared norm in expectation, with a standard error of sqrt(2 / GROUPS) = 9 % of it.
A round is two passes, n (candidates + 2 j) evaluations of the kernel.
"""

from __future__ import annotations

import numpy as np
from scipy.linalg.blas import dger

from landmark_ops.numerics.kernel import Kernel
from landmark_ops.numerics.random_streams import RowStream
from landmark_ops.selection.candidates import Candidates
from landmark_ops.selection.landmarks import Landmarks, equal_weights
from landmark_ops.selection.pivots import F64, no_pivots, precision_for
from landmark_ops.selection.request import Request, kernel_of, too_few
from landmark_ops.selection.sketches import GROUPS, sketch
from landmark_ops.selection.strategy import STRATEGIES, Strategy
from landmark_ops.selection.sweep import Draw, sweep

EXACT_ROWS = 1 << 11
EXACT_ELEMENTS = 1 << 24
ROUNDS = 3
CANDIDATES = 3  # per landmark chosen in a round
LEAST_CANDIDATES = 256
# Relative to the largest residual: rows below are not chosen. Their residual has few digits, and dividing by it let
# other residuals fall to -0.4 k(x, x) (robust spiral, 34 landmarks).
LEAST_RESIDUAL = 1e-6
# Falls that differ by less are equal: by rounding where exact; by rounding of float32, and well within the standard
# error, where sketched.
TIE, TIE_SKETCHED = 1e-6, 1e-2


def select_greedy(ask: Request) -> Landmarks:
    """`count` rows, in the order chosen. Raises InputError where the residuals of all rows are used up before."""
    kernel, rows, m = kernel_of(ask), ask.rows, ask.count
    exact = rows.n <= EXACT_ROWS and rows.n * rows.d <= EXACT_ELEMENTS
    share = m if exact else -(-m // ROUNDS)
    per_round = (1 if exact else 2) * rows.n
    pivots, relative, evaluations, number = no_pivots(rows), 1.0, 0, 0
    while len(pivots.indices) < m:
        before = len(pivots.indices)
        target = min(m, before + share)
        ask.plan(max(number + 1, 1 if exact else ROUNDS) * per_round)
        wanted = rows.n if exact else max(CANDIDATES * (target - before), LEAST_CANDIDATES)
        draw = Draw(wanted, ask.seed, RowStream.GREEDY_ROWS, number, distinct=not exact)
        found = sweep(ask, pivots, draw, precision_for(rows, relative, pivots))
        if len(found.indices) == 0:
            raise too_few(ask, before, "the residuals of all rows are 0 up to rounding")
        candidates = Candidates.of(found, pivots, kernel, target)
        if exact:
            columns = candidates.gram(kernel)
        else:
            relative = found.left / found.trace if found.trace > 0 else 0.0
            partition = (ask.seed, number)
            columns = sketch(ask, pivots, candidates, partition, precision_for(rows, relative, pivots))
            evaluations += rows.n * (2 * before + len(found.indices))
        pivots = candidates.extend(
            pivots, pick(candidates, columns, target - before, TIE if exact else TIE_SKETCHED, kernel)
        )
        relative *= candidates.shrunk(found)
        number += 1
        # A round may use up its candidates, which are few, and the next one find others.
        if len(pivots.indices) == before or (exact and len(pivots.indices) < m):
            raise too_few(ask, len(pivots.indices), "the residuals of all rows are 0 up to rounding")
    ask.plan(number * per_round)
    how, bound = "exact", "each lowers the trace error most of all rows"
    if not exact:
        how = f"{number} rounds of candidates, {GROUPS} random groups, {evaluations} evaluations of the kernel"
        bound = (
            "each lowers the trace error most among the candidates of its round, which were drawn by residual, as "
            f"sketched with a standard error of {np.sqrt(2 / GROUPS):.0%}"
        )
    note = f"greedy: {m} of {rows.n} rows under kernel {kernel.name}, {how}; {bound} (Farahat et al. 2011)"
    return Landmarks(pivots.indices, pivots.stored, equal_weights(rows.n, m), note, None if exact else evaluations)


def pick(candidates: Candidates, columns: F64, count: int, tie: float, kernel: Kernel) -> list[int]:
    """Up to `count` positions among the candidates (c,), each with the largest |E_:l|^2 / E_ll.

    `columns`: (g, c) Fortran order, the columns of E, or their sums within groups; overwritten as E shrinks.
    """
    chosen: list[int] = []
    while len(chosen) < count and candidates.now.any():
        falls = np.einsum("ij,ij->j", columns, columns)
        large = candidates.now > LEAST_RESIDUAL * candidates.now.max()
        falls = np.divide(falls, candidates.now, out=np.full(len(falls), -1.0), where=large)
        # Residuals that differ by a factor only have equal falls: the largest has most digits.
        best = int(np.where(falls >= (1 - tie) * falls.max(), candidates.now, -1.0).argmax())
        root = np.sqrt(candidates.now[best])
        own = columns[:, best] / root
        v = candidates.take(best, kernel)
        columns = dger(-1.0, own, v, a=columns, overwrite_a=1)
        chosen.append(best)
    return chosen


STRATEGIES.register(
    Strategy("greedy", select_greedy, passes=2, compares_by="kernel", order=6, colour="#9a7b0a", mark="X")
)

"""Greedy column subset selection: each next landmark is the row that lowers the trace error most.

Farahat, Ghodsi & Kamel 2011: with E = K - K_nZ K_ZZ^-1 K_Zn, landmark l lowers the trace by |E_:l|^2 / E_ll. Up to
EXACT_ROWS rows that is computed as it stands. Beyond, K is too large to be seen at all, so two things are sampled:
candidates, drawn in rounds in proportion to their residual, and the norm |E_:l|^2, by a random partition of the rows
(their section on sketches, here with random signs): rows are put into GROUPS groups, and the columns of E summed within
each with signs, which keeps a squared norm in expectation, with a standard error of sqrt(2 / GROUPS) = 9 % of it.
A round is two passes, n (candidates + 2 j) evaluations of the kernel.
"""

from __future__ import annotations

import numpy as np
from scipy.linalg.blas import dger
from scipy.sparse import csr_array

from landmark_ops.numerics.distances import Array
from landmark_ops.numerics.kernel import Kernel, kernel_block
from landmark_ops.numerics.random_streams import RowStream, row_numbers
from landmark_ops.row_range import RowRange
from landmark_ops.selection.candidates import Candidates
from landmark_ops.selection.landmarks import Landmarks, equal_weights
from landmark_ops.selection.pivots import F64, Pivots, Precision, no_pivots, precision_for
from landmark_ops.selection.request import Request, kernel_of, too_few
from landmark_ops.selection.residuals import features, tile_rows
from landmark_ops.selection.strategy import STRATEGIES, Strategy
from landmark_ops.selection.sweep import Draw, kernel_items, sweep
from landmark_ops.selection.usable_rows import read_usable, row_rule, working_rows
from landmark_ops.stores.sources.rows import Rows

EXACT_ROWS = 1 << 11
EXACT_ELEMENTS = 1 << 24
GROUPS = 256
ROUNDS = 3
CANDIDATES = 3  # per landmark chosen in a round
LEAST_CANDIDATES = 256
# Of the largest residual: rows with less are not chosen. Theirs is known to a few digits only, and to divide by it let
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


def sketch(
    ask: Request, pivots: Pivots, candidates: Candidates, partition: tuple[int, int], precision: Precision
) -> F64:
    """Columns of E for all candidates, summed within random groups of all rows with random signs, (GROUPS, c)."""
    F = candidates.F[:, : len(pivots.indices)]
    common = (ask.rows, pivots, candidates.stored, F, kernel_of(ask), ask.skip_bad_rows, partition, precision)
    items = kernel_items(ask.rows.n, ask.rows.d)
    return np.asfortranarray(ask.engine.reduce(sketch_block, add_sketches, items, *common, done=ask.done))


def sketch_block(
    item: RowRange,
    rows: Rows,
    pivots: Pivots,
    stored: Array,
    F: F64,
    kernel: Kernel,
    skip: bool,
    partition: tuple[int, int],
    precision: Precision,
) -> F64:
    """The part of one block in a `sketch`."""
    indices, _, X = read_usable(item, rows, row_rule(kernel), skip)
    X = X.astype(precision)
    C, Z = working_rows(stored, None).astype(precision), working_rows(pivots.stored, None).astype(precision)
    L = np.asfortranarray(pivots.L, precision)
    seed, number = partition
    signed = (row_numbers(seed, RowStream.GREEDY_PARTITION, *item, number)[indices - item[0]] * (2 * GROUPS)).astype(
        np.int64
    )
    of_columns, of_features = np.zeros((GROUPS, len(C))), np.zeros((GROUPS, len(Z)))
    step = tile_rows(len(C), X.shape[1])
    for at in range(0, len(X), step):
        tile = X[at : at + step]
        group, sign = np.divmod(signed[at : at + step], 2)
        signs = (1.0 - 2.0 * sign).astype(precision)
        sums = csr_array((signs, group, np.arange(len(tile) + 1)), shape=(len(tile), GROUPS)).T
        of_columns += sums @ np.asarray(kernel_block(tile, C, kernel), precision)
        of_features += sums @ np.ascontiguousarray(features(tile, Z, L, kernel))
    return of_columns - of_features @ F.T


def add_sketches(parts: list[F64]) -> F64:
    """The sum of several sketches."""
    return np.asarray(sum(parts[1:], start=parts[0]))


STRATEGIES.register(
    Strategy("greedy", select_greedy, passes=2, compares_by="kernel", order=6, colour="#9a7b0a", mark="X")
)

"""Columns of the residual kernel summed within random groups of rows, with random signs: norms are kept, roughly.

Farahat, Ghodsi & Kamel 2011, their section on sketches.
"""

from __future__ import annotations

import numpy as np
from scipy.sparse import csr_array

from landmark_ops.numerics.distances import Array
from landmark_ops.numerics.kernel import Kernel, kernel_block
from landmark_ops.numerics.random_streams import RowStream, row_numbers
from landmark_ops.passes.sums import add_arrays
from landmark_ops.row_range import RowRange
from landmark_ops.selection.candidates import Candidates
from landmark_ops.selection.pivots import F64, Pivots, Precision
from landmark_ops.selection.request import Request, kernel_of
from landmark_ops.selection.residuals import features, tile_rows
from landmark_ops.selection.sweep import kernel_items
from landmark_ops.selection.usable_rows import read_usable, row_rule, working_rows
from landmark_ops.stores.sources.rows import Rows

GROUPS = 256


def sketch(
    ask: Request, pivots: Pivots, candidates: Candidates, partition: tuple[int, int], precision: Precision
) -> F64:
    """Columns of E for all candidates, summed within random groups of all rows with random signs, (GROUPS, c)."""
    F = candidates.F[:, : len(pivots.indices)]
    common = (ask.rows, pivots, candidates.stored, F, kernel_of(ask), ask.skip_bad_rows, partition, precision)
    items = kernel_items(ask.rows.n, ask.rows.d)
    return np.asfortranarray(ask.engine.reduce(sketch_block, add_arrays, items, *common, done=ask.done))


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
    """One range's part of a `sketch`."""
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

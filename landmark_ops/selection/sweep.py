"""One pass over all rows that looks for further landmarks by their residuals.

No array of length n is ever held: a pass computes the residuals of a range anew and keeps only the few rows that it
looks for.
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from landmark_ops.numerics.distances import Array
from landmark_ops.numerics.kernel import Kernel
from landmark_ops.numerics.random_streams import RowStream, row_numbers
from landmark_ops.passes.grid import block_rows, power_of_two
from landmark_ops.passes.ranges import ranges
from landmark_ops.row_range import RowRange
from landmark_ops.selection.pivots import F64, Pivots, Precision
from landmark_ops.selection.race import first_of_equals, race
from landmark_ops.selection.request import Request, kernel_of
from landmark_ops.selection.residuals import residuals
from landmark_ops.selection.usable_rows import read_usable, row_rule
from landmark_ops.stores.sources.rows import Rows

LEAST_BLOCK = 1 << 10
SHARED_BY = 8  # ranges that even a small source is cut into, so that a few workers share it


class Draw(NamedTuple):
    """The rows that a pass draws: `wanted` rows without replacement, with weights residual.

    stream, number: of random numbers per row, none used twice. cap: weights are residual / cap, at most 1: ridge
    leverage scores where L holds the ridge `cap`; 0 for none. distinct: of rows that coincide only one is drawn.
    """

    wanted: int
    seed: int
    stream: RowStream
    number: int = 0
    cap: float = 0.0
    distinct: bool = False


class Sweep(NamedTuple):
    """The result of one pass: the candidates with the smallest keys, and sums over all usable rows.

    indices (c,), stored (c, d), keys (c,), residuals (c,) float64, ascending by key; `rows` usable rows seen; `trace`
    the sum of k(x, x), `left` of residuals, explained (j,) of f_j(x)^2: the trace that landmark j took away.
    """

    indices: NDArray[np.int64]
    stored: Array
    keys: F64
    residuals: F64
    rows: int
    trace: float
    left: float
    explained: F64


def sweep(ask: Request, pivots: Pivots, draw: Draw, precision: Precision) -> Sweep:
    """One pass over all rows: candidates drawn by residual, and the sums. n (j + 1) evaluations of the kernel."""
    items = kernel_items(ask.rows.n, ask.rows.d)
    common = (ask.rows, pivots, kernel_of(ask), ask.skip_bad_rows, draw, precision)
    return ask.engine.reduce(sweep_block, partial(merge_sweeps, draw=draw), items, *common, done=ask.done)


def sweep_block(
    item: RowRange, rows: Rows, pivots: Pivots, kernel: Kernel, skip: bool, draw: Draw, precision: Precision
) -> Sweep:
    """One range's part of a `sweep`."""
    indices, stored, X = read_usable(item, rows, row_rule(kernel), skip)
    diag, left, explained = residuals(X, pivots, kernel, precision)
    uniforms = row_numbers(draw.seed, draw.stream, *item, draw.number)[indices - item[0]]
    keys = race(np.minimum(left / draw.cap, 1.0) if draw.cap else left, uniforms)
    part = Sweep(indices, stored, keys, left, len(X), float(diag.sum()), float(left.sum()), explained)
    return merge_sweeps([part], draw=draw)


def merge_sweeps(parts: list[Sweep], *, draw: Draw) -> Sweep:
    """Several parts as one, with the `draw.wanted` smallest keys of them all."""
    keys = np.concatenate([part.keys for part in parts])
    indices = np.concatenate([part.indices for part in parts])
    order = np.lexsort((indices, keys))
    order = order[np.isfinite(keys[order])]
    stored = np.concatenate([part.stored for part in parts])
    order = order[first_of_equals(stored, order, draw.wanted)] if draw.distinct else order[: draw.wanted]
    return Sweep(
        indices[order],
        stored[order],
        keys[order],
        np.concatenate([part.residuals for part in parts])[order],
        sum(part.rows for part in parts),
        sum(part.trace for part in parts),
        sum(part.left for part in parts),
        np.sum([part.explained for part in parts], axis=0),
    )


def kernel_items(n: int, d: int) -> list[RowRange]:
    """The fixed grid of passes that evaluate kernels: at least SHARED_BY ranges of at least LEAST_BLOCK rows."""
    return ranges(n, min(block_rows(d), max(LEAST_BLOCK, power_of_two(n // SHARED_BY))))

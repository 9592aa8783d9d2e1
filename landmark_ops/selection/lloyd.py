"""Lloyd's iterations: each centre moves to the mean of the rows nearest to it, one pass over all rows at a time."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from landmark_ops.numerics.distances import Array
from landmark_ops.numerics.metric import Metric
from landmark_ops.row_range import RowRange
from landmark_ops.selection.nearest import nearest
from landmark_ops.selection.request import Request
from landmark_ops.selection.usable_rows import read_usable
from landmark_ops.stores.sources.rows import Rows

ITERATIONS = 5
TOLERANCE = 1e-6  # of the spread of the centres: a smaller move ends the iterations


class Cells(NamedTuple):
    """The rows nearest to each centre: their sums (m, d) float64, their number (m,), and phi, the sum of d^2."""

    sums: NDArray[np.float64]
    sizes: NDArray[np.float64]
    phi: float


def lloyd(
    ask: Request, centres: NDArray[np.float64], metric: Metric, items: list[RowRange]
) -> tuple[NDArray[np.float64], Cells, int]:
    """Move each centre to the mean of its cell, up to ITERATIONS times (Lloyd 1982).

    Returns the centres (m, d), the cells they are the means of, and the number of iterations. A centre with an empty
    cell stays where it is.
    """
    iteration, settled = 0, False
    while iteration < ITERATIONS and not settled:
        cells = ask.engine.reduce(
            cells_of_block, add_cells, items, ask.rows, centres, metric, ask.skip_bad_rows, done=ask.done
        )
        held = cells.sizes > 0
        moved = centres.copy()
        moved[held] = cells.sums[held] / cells.sizes[held, None]
        move = np.linalg.norm(moved - centres, axis=1).max()
        spread = np.linalg.norm(moved - moved.mean(axis=0), axis=1).max()
        centres, iteration, settled = moved, iteration + 1, bool(move <= TOLERANCE * spread)
    return centres, cells, iteration


def cells_of_block(item: RowRange, rows: Rows, centres: Array, metric: Metric, skip_bad_rows: bool) -> Cells:
    """The cells of one range's rows; sums are taken row by row, in order, in float64."""
    X = read_usable(item, rows, metric, skip_bad_rows).X
    which, gaps = nearest(X, centres, metric)
    member = csr_array((np.ones(len(X)), which, np.arange(len(X) + 1)), shape=(len(X), len(centres)))
    sums = np.asarray(member.T @ X.astype(np.float64))
    return Cells(sums, np.bincount(which, minlength=len(centres)).astype(np.float64), float(gaps.sum()))


def add_cells(parts: list[Cells]) -> Cells:
    """The cells of several ranges together, added in the order given."""
    sums, sizes, phi = parts[0].sums.copy(), parts[0].sizes.copy(), parts[0].phi
    for part in parts[1:]:
        sums += part.sums
        sizes += part.sizes
        phi += part.phi
    return Cells(sums, sizes, phi)

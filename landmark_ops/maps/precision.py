"""Whether a map may compute float32 rows in float32: tried on its own landmarks, once per map and process.

Every way in which single precision fails (squares, powers, gamma or products out of its range, a large offset with a
small spread, a readout that magnifies) shows in the difference between the two precisions, so that is what is tested.
Rows unlike the landmarks are checked when they are placed.
"""

from __future__ import annotations

import numpy as np

from landmark_ops.maps.columns import columns_of, width
from landmark_ops.maps.evaluators import block_evaluator, reader
from landmark_ops.maps.folded import collapses, folded
from landmark_ops.maps.parts import MapParts
from landmark_ops.maps.prepared import prepared
from landmark_ops.numerics.distances import Array

SINGLE, DOUBLE = np.dtype(np.float32), np.dtype(np.float64)

TRIED = 64  # landmarks, evenly spaced among all: their blocks against all landmarks cost a hundredth of one chunk
# Allowed error of float32, relative to the largest value of a block or coordinate. On image patches it is 1e-6.
TOLERANCE = 4e-6
# Magnitudes whose squares, sums over rows and differences stay within float32's range.
COORDINATES = (1e-12, 1e12)
RESIDUALS = 1e24
WEIGHTS = 1e30


def single_suffices(fitted: MapParts) -> bool:
    """Whether float32 gives what float64 gives on the landmarks, to `TOLERANCE` and with room to spare."""
    return prepared(fitted, _tried)


def rounds_blocks(fitted: MapParts) -> bool:
    """Whether the blocks of float32 rows are rounded to float32.

    Not where block and readout fold, where a kernel is computed in float64 whatever the rows are (laplacian, chi2, a
    user's function), and where float32 does not suffice.
    """
    if collapses(fitted) or not single_suffices(fitted):
        return False
    one = np.asarray(fitted.landmarks[:1], SINGLE)
    return bool(prepared(fitted, block_evaluator, SINGLE)(one).dtype == SINGLE)


def sampled(Z: Array) -> Array:
    """Up to `TRIED` rows of Z (m, d), evenly spaced."""
    return Z[np.linspace(0, len(Z) - 1, min(len(Z), TRIED)).round().astype(int)]


def _tried(fitted: MapParts) -> bool:
    rows = sampled(fitted.landmarks)
    with np.errstate(all="ignore"):
        low = rows.astype(SINGLE)
        high = low.astype(DOUBLE)
        if not np.isfinite(low).all():
            return False
        both: tuple[Array, Array] = (low, high)
        outs = [np.empty((len(rows), width(fitted)), X.dtype) for X in both]
        if collapses(fitted):
            for X, out in zip(both, outs, strict=True):
                prepared(fitted, folded, X.dtype)(X, out)
        else:
            blocks = [prepared(fitted, block_evaluator, X.dtype)(X) for X in both]
            if not _agree(*blocks):
                return False
            factor = np.zeros(1) if fitted.spread is None else fitted.spread.factor
            if not max(np.abs(columns_of(fitted)[0]).max(), np.abs(factor).max()) < WEIGHTS:
                return False
            for X, values, out in zip(both, blocks, outs, strict=True):
                prepared(fitted, reader, X.dtype)(X, values, out)
        single, double = outs
        good = np.isfinite(double).all(axis=1)
        if not good.any():
            return True  # nothing to compare; undefined rows are computed again
        k = fitted.n_components
        top, residual = np.abs(double[good, :k]).max(), np.abs(double[good, k]).max()
        if top and not COORDINATES[0] < top < COORDINATES[1]:
            return False
        if not residual < RESIDUALS:
            return False
        return not collapses(fitted) or (
            _agree(single[good, :k], double[good, :k]) and _agree(single[good, k : k + 1], double[good, k : k + 1])
        )


def _agree(single: Array, double: Array) -> bool:
    """Whether values agree to `TOLERANCE` of the largest; undefined ones are checked when rows are placed."""
    if single.dtype == DOUBLE:
        return True
    known = np.isfinite(double)
    if not known.any():
        return True
    top = np.abs(double[known]).max()
    error = np.abs(single[known] - double[known]).max()
    return bool(top == 0 or error <= TOLERANCE * top)

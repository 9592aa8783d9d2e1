"""Why rows have no coordinates under a map: looked at only once some are found to have none.

Maps give NaN for rows that they cannot place (`evaluation.py`). Here the reason is found row by row, in
float64, so that a refusal, a report or an estimator can name it.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from landmark_ops.maps.causes import Cause
from landmark_ops.maps.folded import is_identity
from landmark_ops.maps.landmark_map import LandmarkMap
from landmark_ops.maps.parts import Placed
from landmark_ops.maps.prepared import prepared
from landmark_ops.numerics.blocks import Block, domain, evaluate_block, negative_rows, row_geometry, takes_nan
from landmark_ops.numerics.distances import Array
from landmark_ops.numerics.geodesic_block import Geodesic
from landmark_ops.numerics.kernel import Kernel
from landmark_ops.numerics.metric import Metric
from landmark_ops.numerics.ranges import squares


def undefined(placed: Placed) -> NDArray[np.bool_]:
    """Which rows have no coordinates, (b,)."""
    return np.asarray(~np.isfinite(placed.embedding).all(axis=1))


def causes(fitted: LandmarkMap, X: Array, lengths: Array | None = None, *, stored: bool = False) -> NDArray[np.int8]:
    """A `Cause` for each of the rows X (b, d) under a map, (b,).

    `lengths` (b, m): the rows' geodesics, of maps that are applied to those. `stored`: whether coordinates that
    float32 cannot hold count as lacking.
    """
    placed = fitted.place(X) if lengths is None else fitted.place_blocks(squares(lengths))
    out = np.zeros(len(X), np.int8)
    if stored:
        lost = np.isnan(fitted.stored(placed).embedding).any(axis=1)
        out[lost & ~undefined(placed)] = Cause.NOT_STORED
    which = np.flatnonzero(undefined(placed))
    if len(which) == 0:
        return out
    bad = X[which]
    found = block_causes(fitted.block, bad, fitted.landmarks, None if lengths is None else lengths[which])
    left = found == Cause.DEFINED
    if left.any():
        found[left] = map_causes(fitted, bad[left])
    out[which] = found
    return out


def row_causes(block: Block, X: Array) -> NDArray[np.int8]:
    """A `Cause` for each of the rows X (b, d) that no landmark could change, (b,)."""
    geometry = row_geometry(block)
    out = np.zeros(len(X), np.int8)
    transform = geometry.transform
    if transform == "center_unit":
        out[(X[:, :1] == X).all(axis=1)] = Cause.CONSTANT
    if transform in ("unit", "center_unit"):
        out[~X.any(axis=1)] = Cause.ZERO
    if (asked := domain(block)) is not None:
        out[~asked.within(X)] = Cause.OUTSIDE
    if not takes_nan(geometry):  # which is there for them
        out[~np.isfinite(X).all(axis=1)] = Cause.NOT_FINITE
    return out


def block_causes(block: Block, X: Array, Z: Array, lengths: Array | None = None) -> NDArray[np.int8]:
    """A `Cause` for each of the rows X (b, d) whose block against landmarks Z (m, d) holds NaN or Inf, (b,)."""
    X64, Z64 = np.asarray(X, np.float64), np.asarray(Z, np.float64)
    with np.errstate(all="ignore"):
        values = evaluate_block(block, X64, Z64) if lengths is None else lengths
    lacking = ~np.isfinite(values).all(axis=1)
    out = row_causes(block, X64)
    left = lacking & (out == Cause.DEFINED)
    geometry = row_geometry(block)
    if lengths is not None or isinstance(block, Geodesic):
        out[left] = Cause.UNREACHED
    elif row_causes(block, Z64).any():
        out[left] = Cause.BAD_LANDMARK
    else:
        out[left] = Cause.OVERFLOW if geometry.overflows else Cause.UNDEFINED
        if isinstance(geometry, Kernel) and geometry.family.not_a_number(geometry) is not None:
            out[left & np.isnan(values).any(axis=1)] = Cause.NOT_A_NUMBER
    return out


def map_causes(fitted: LandmarkMap, X: Array) -> NDArray[np.int8]:
    """A `Cause` for each of the rows X (b, d) without coordinates whose block is finite in float64, (b,)."""
    with np.errstate(all="ignore"):
        values = fitted.block_of(X)
        negative = negative_rows(values, fitted.block)
        wide = replace(fitted, double=True)
        placed = wide.place(X)
        lengths = replace(wide, unit_rows=False).place(X).embedding
    plain = isinstance(fitted.block, Metric | Kernel) and fitted.block.overflows  # its squares are not finite
    out = np.where(undefined(placed), Cause.OVERFLOW if plain else Cause.UNDEFINED, Cause.RANGE).astype(np.int8)
    if fitted.unit_rows:
        out[undefined(placed) & ~lengths.any(axis=1)] = Cause.NO_LENGTH
    if fitted.scale is not None or prepared(fitted, is_identity):  # the block is used as weights
        if negative is not None:
            out[undefined(placed) & negative] = Cause.NEGATIVE
        out[undefined(placed) & ~values.any(axis=1)] = Cause.VANISHED
    return out

"""Maps whose block is linear in the row, up to its squared norm: block and readout folded into one matrix."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from landmark_ops.maps.columns import columns_of
from landmark_ops.maps.parts import MapParts
from landmark_ops.maps.prepared import prepared
from landmark_ops.numerics.blocks import collapse_transform
from landmark_ops.numerics.distances import Array, transform_rows
from landmark_ops.numerics.kernel import Kernel, kernel_diagonal
from landmark_ops.numerics.metric import Metric

# Rows are centred before anything else only where |mean|^2 exceeds so many times their spread: rounding grows with it.
NEAR_ORIGIN = 4.0

Fill = Callable[[Array, Array], None]  # rows (b, d) into columns (b, width)


def is_identity(fitted: MapParts) -> bool:
    """Whether the outputs are the block itself, so that no product is needed."""
    m, k = fitted.readout.shape
    return m == k and not fitted.offset.any() and np.array_equal(fitted.readout, np.eye(m))


def collapses(fitted: MapParts) -> bool:
    """Whether block and readout fold into one (d, k) matrix. A map to the block itself is not folded."""
    plain = fitted.scale is None and fitted.spread is None and not prepared(fitted, is_identity)
    return plain and collapse_transform(fitted.block) is not None


def folded(fitted: MapParts, dtype: np.dtype[Any]) -> Fill:
    """Fold block and readout: with z centred on their mean c, d(x, z) = |x-c|^2 - 2 (x-c).(z-c) + |z-c|^2.

    So block @ w = |x-c|^2 sum(w) + (x-c) @ (-2 Zc^T w) + |zc|^2 @ w. The readout of LMDS sums to zero in each
    column, only the residual column keeps the |x-c|^2 term. A dot-product block has neither norm term.
    """
    transform = collapse_transform(fitted.block)
    assert transform is not None
    weights, offset = columns_of(fitted)
    Z = transform_rows(np.asarray(fitted.landmarks, np.float64), transform)
    k = fitted.n_components
    self_term = None
    center = np.zeros(Z.shape[1])
    if isinstance(fitted.block, Metric):
        center = Z.mean(axis=0).astype(dtype).astype(np.float64)  # what rows are centred on, rounding included
        Zc = Z - center
        norm_weights = weights.sum(axis=0)
        norm_weights[:k] *= np.abs(norm_weights[:k]) > 1e-12 * np.abs(weights[:, :k]).sum(axis=0)
        spread = np.einsum("ij,ij->i", Zc, Zc)
        matrix, constant = -2 * Zc.T @ weights, spread @ weights + offset
        if center @ center <= NEAR_ORIGIN * spread.mean():  # fold the centre too, and save a copy of every row
            matrix -= 2 * np.outer(center, norm_weights)
            constant -= center @ matrix
            constant -= norm_weights * float(center @ center)
            center = np.zeros(Z.shape[1])
    else:
        matrix, constant, norm_weights = Z.T @ weights, offset, np.zeros(len(offset))
        self_term = fitted.block if fitted.self_term and isinstance(fitted.block, Kernel) else None
    center_row, matrix, constant = center.astype(dtype), matrix.astype(dtype), constant.astype(dtype)
    centred = bool(np.any(center))
    normed = np.flatnonzero(norm_weights)

    def evaluate(X: Array, out: Array) -> None:
        rows = transform_rows(X, transform)
        if centred:
            rows = rows - center_row
        np.matmul(rows, matrix, out=out)
        out += constant
        if len(normed):
            sq_norms = np.vecdot(rows, rows)
            for column in normed:
                out[:, column] += dtype.type(norm_weights[column]) * sq_norms
        if self_term is not None:
            out[:, k] += kernel_diagonal(X, self_term)

    return evaluate

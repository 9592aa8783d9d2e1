"""The columns computed for a tile of rows: coordinates, residual, degree, and spare ones."""

from __future__ import annotations

import numpy as np

from landmark_ops.maps.parts import F64, MapParts


def padding(columns: int) -> int:
    """Columns of zeros that bring a product to a multiple of 4 columns: BLAS runs 12 of them faster than 11."""
    return -columns % 4


def width(fitted: MapParts) -> int:
    """Columns of an output tile: coordinates, residual, degree where rows are scaled, spare ones."""
    columns = fitted.n_components + 1 + (fitted.scale is not None)
    return columns + padding(columns)


def columns_of(fitted: MapParts) -> tuple[F64, F64]:
    """[readout | residual weights | scale weights | spare], (m, w), and the offset (w,)."""
    m, k = fitted.readout.shape
    weights, offset = np.zeros((m, width(fitted))), np.zeros(width(fitted))
    weights[:, :k], offset[:k] = fitted.readout, fitted.offset
    if fitted.residual_weights is not None:
        weights[:, k] = fitted.residual_weights
    offset[k] = fitted.residual_offset
    if fitted.scale is not None:
        weights[:, k + 1] = fitted.scale.weights
    return weights, offset

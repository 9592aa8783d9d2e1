"""What evaluates a landmark map on one tile of rows, prepared once per map and dtype.

Blocks that are linear in the row are folded with the readout, an RBF's exponent is one matrix product, all others are
a block and a product with the readout.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from landmark_ops.maps.landmark_map import LandmarkMap
from landmark_ops.numerics.blocks import collapse_transform, evaluate_block
from landmark_ops.numerics.distances import Array, Metric, transform_rows
from landmark_ops.numerics.domains import negative_rows
from landmark_ops.numerics.kernels import Kernel, kernel_diagonal

F64 = NDArray[np.float64]

# Rows are centred before anything else only where |mean|^2 exceeds so many times their spread: rounding grows with it.
NEAR_ORIGIN = 4.0
# Above these values of gamma |z|^2 the one product for the exponent errs by more than 1e-6 (float64) or, with FAINT,
# 1e-5 (float32): distances are then computed with care for near pairs.
FUSED_LIMIT = {np.dtype(np.float32): 32.0, np.dtype(np.float64): 1e8}
# Below this a row's largest weight, which its coordinates are divided by, has lost digits in float32's exponents.
FAINT = 1e-4

Evaluate = Callable[[Array], Array]
Fill = Callable[[Array, Array], None]  # rows (b, d) into coordinates and residuals (b, k + 1 + spare)
Read = Callable[[Array, Array, Array], None]  # rows, their block (b, m), into the same


def padding(columns: int) -> int:
    """Columns of zeros that bring a product to a multiple of 4 columns: BLAS runs 12 of them faster than 11."""
    return -columns % 4


def width(fitted: LandmarkMap) -> int:
    """Columns of an output tile: coordinates, residual, degree where rows are scaled, spare ones."""
    columns = fitted.n_components + 1 + (fitted.scale is not None)
    return columns + padding(columns)


def columns_of(fitted: LandmarkMap) -> tuple[F64, F64]:
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


def evaluator(fitted: LandmarkMap, dtype: np.dtype[Any], make: Callable[[LandmarkMap, np.dtype[Any]], Any]) -> Any:
    """What `make` prepares for a map and dtype, made once."""
    key = (make, dtype)
    if key not in fitted.prepared:
        fitted.prepared[key] = make(fitted, dtype)
    return fitted.prepared[key]


def folded(fitted: LandmarkMap, dtype: np.dtype[Any]) -> Fill:
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


def reader(fitted: LandmarkMap, dtype: np.dtype[Any]) -> Read:
    """One product of the block with [readout | residual weights | scale weights], and the spread."""
    weights, offset = columns_of(fitted)
    k = fitted.n_components
    kernel = fitted.block if fitted.self_term and isinstance(fitted.block, Kernel) else None
    narrow, constant = weights.astype(dtype), offset.astype(dtype)
    identity = fitted.is_identity and k > 1
    spread, block, affinity = fitted.spread, fitted.block, fitted.scale is not None or identity

    def read(X: Array, values: Array, out: Array) -> None:
        same = values.dtype == dtype
        if identity:  # the block itself is asked for
            out[:, :k] = values
            np.matmul(values, (narrow if same else weights)[:, k:], out=out[:, k:], casting="same_kind")
        else:
            np.matmul(values, narrow if same else weights, out=out, casting="same_kind")
        np.add(out, constant, out=out)
        if kernel is not None:
            out[:, k] += kernel_diagonal(X, kernel)
        if spread is not None:
            part = values @ (spread.factor.astype(dtype) if same else spread.factor)
            out[:, k] += spread.sign * np.vecdot(part, part)
        if affinity:  # neither a block of zeros nor one of negative weights has a degree: NaN, not a floor
            faint = values.max(axis=1) < FAINT if values.dtype == np.float32 else ~values.any(axis=1)
            out[faint] = np.nan  # in float32: computed again in float64, which knows more of them
            negative = negative_rows(values, block)
            if negative is not None:
                out[negative] = np.nan

    return read


def block_evaluator(fitted: LandmarkMap, dtype: np.dtype[Any]) -> Evaluate:
    """The block (b, m) of a tile of rows."""
    block = fitted.block
    Z = np.asarray(fitted.landmarks, np.float64)
    if isinstance(block, Kernel) and block.name == "rbf":
        fused = FusedRbf(Z, block.gamma, dtype)
        if fused.reach < FUSED_LIMIT[dtype]:
            return fused
    low = Z.astype(dtype)
    same = low if isinstance(block, Kernel) and np.array_equal(low, Z) else Z
    return lambda X: evaluate_block(block, X, same)


@dataclass(eq=False)
class FusedRbf:
    """RBF blocks with the whole exponent in one matrix product.

    -gamma |x - z|^2 = [x, |x|^2, 1] @ [2 gamma z; -gamma; -gamma |z|^2], rows centred on the landmark mean. The
    separate additions and the copy they need would cost a quarter of the time. Rounding may leave an exponent
    of +1e-6, a kernel value of 1 + 1e-6.
    """

    landmarks: F64
    gamma: float
    dtype: np.dtype[Any]
    center: Array = field(init=False)
    factor: Array = field(init=False)
    reach: float = field(init=False)

    def __post_init__(self) -> None:
        # Rows and landmarks are centred on the same point, rounding included: at an offset of 1e4 float32 rounds the
        # mean by 5e-4.
        self.center = self.landmarks.mean(axis=0).astype(self.dtype)
        Z = self.landmarks - self.center.astype(np.float64)
        exponents = self.gamma * np.einsum("ij,ij->i", Z, Z)
        self.reach = float(exponents.max())
        rows = [2 * self.gamma * Z.T, np.full((1, len(Z)), -self.gamma), -exponents[None, :]]
        with np.errstate(over="ignore"):  # no map is computed in float32 then
            self.factor = np.ascontiguousarray(np.vstack(rows).astype(self.dtype))

    def __call__(self, X: Array) -> Array:
        """The (b, m) kernel block."""
        d = X.shape[1]
        augmented = np.empty((len(X), d + 2), self.dtype)
        np.subtract(X, self.center, out=augmented[:, :d])
        np.vecdot(augmented[:, :d], augmented[:, :d], out=augmented[:, d])
        augmented[:, d + 1] = 1
        out = augmented @ self.factor
        return np.exp(out, out=out)

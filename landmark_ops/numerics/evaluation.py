"""Fast evaluation of landmark maps: folded where the block is linear in the row, in cache-sized tiles elsewhere.

Several maps in one pass (`place_all`) share each tile's block where landmarks and block are the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from landmark_ops.errors import InputError
from landmark_ops.numerics.blocks import block_key, collapse_transform, evaluate_block
from landmark_ops.numerics.distances import Array, Metric, transform_rows
from landmark_ops.numerics.kernels import Kernel, kernel_diagonal
from landmark_ops.numerics.landmark_map import LandmarkMap, Placed

F64 = NDArray[np.float64]

TILE_ROWS = 512  # x 1,000 landmarks x 4 bytes = 2 MB; 128 to 2,048 rows measured within 3 %
COLLAPSED_ROWS = 2048  # the same for folded maps, whose tiles hold no block
# Above this value of gamma |z|^2 the fused float32 exponent errs by more than 1e-4: blocks go to float64.
FUSED_LIMIT = 200.0

# Rows are centred before anything else only where |mean|^2 exceeds so many times their spread: rounding grows with it.
NEAR_ORIGIN = 4.0

Evaluate = Callable[[Array], Array]
Fill = Callable[[Array, Array], None]  # rows (b, d) into coordinates and residuals (b, k + 1 + spare)
Read = Callable[[Array, Array, Array], None]  # rows, their block (b, m), into the same


def compute_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """float32 for float16, float32, bool and integers up to 16 bits (exact in float32), else float64."""
    small = dtype.itemsize <= 2 or (dtype.kind == "f" and dtype.itemsize == 4)
    return np.dtype(np.float32 if small else np.float64)


def padding(columns: int) -> int:
    """Columns of zeros that bring a product to a multiple of 4 columns: BLAS runs 12 of them faster than 11."""
    return -columns % 4


def place_all(maps: Sequence[LandmarkMap], X: Array) -> list[Placed]:
    """Rows X (b, d) placed by several maps at once; see `LandmarkMap.place`."""
    for fitted in maps:
        if X.ndim != 2 or X.shape[1] != fitted.n_features:
            raise InputError(f"rows of shape {X.shape} do not fit this map: expected (b, {fitted.n_features})")
    placed: dict[int, Placed] = {}
    groups: dict[Any, list[int]] = {}
    for at, fitted in enumerate(maps):
        dtype = np.dtype(np.float64) if fitted.double else compute_dtype(X.dtype)
        key = (at,) if fitted.collapsed else (id(fitted.landmarks), block_key(fitted.block), dtype)
        groups.setdefault((dtype, key), []).append(at)
    for (dtype, _), members in groups.items():
        group = [maps[at] for at in members]
        placed |= zip(members, _place_group(group, X, dtype), strict=True)
    return [placed[at] for at in range(len(maps))]


def _place_group(maps: list[LandmarkMap], X: Array, dtype: np.dtype[Any]) -> list[Placed]:
    """Maps of one block, or one collapsed map."""
    first = maps[0]
    step = COLLAPSED_ROWS if first.collapsed else TILE_ROWS
    outs = [np.empty((len(X), width(fitted)), dtype) for fitted in maps]
    ones = np.ones(max(first.n_features, *(out.shape[1] for out in outs)), dtype)
    hides_nan = not first.collapsed and first.block.name != "nan_euclidean"
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        for start in range(0, len(X), step):
            tile = X[start : start + step].astype(dtype, copy=False)
            parts = [out[start : start + step] for out in outs]
            if first.collapsed:
                evaluator(first, dtype, _collapsed)(tile, parts[0])
            else:
                values = evaluator(first, dtype, _block_evaluator)(tile)
                for fitted, part in zip(maps, parts, strict=True):
                    evaluator(fitted, dtype, _reader)(tile, values, part)
            # A NaN or Inf in a row makes its sum so. Products pass it on, kernels may hide it: exp(-Inf) = 0.
            bad = None
            if hides_nan and not np.isfinite(tile @ ones[: tile.shape[1]]).all():
                bad = ~np.isfinite(tile).all(axis=1)
            for fitted, part in zip(maps, parts, strict=True):
                _settle(fitted, part, bad, ones)
    return [Placed(out[:, : f.n_components], out[:, f.n_components]) for f, out in zip(maps, outs, strict=True)]


def place_blocks(fitted: LandmarkMap, blocks: Array) -> Placed:
    """Rows placed from their blocks (b, m), computed elsewhere."""
    if fitted.self_term:
        raise InputError("this map needs the rows themselves for its residual: place rows, not blocks")
    dtype = np.dtype(np.float64) if fitted.double else compute_dtype(blocks.dtype)
    out = np.empty((len(blocks), width(fitted)), dtype)
    values = blocks.astype(dtype, copy=False)
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        evaluator(fitted, dtype, _reader)(values, values, out)
        _settle(fitted, out, None, np.ones(out.shape[1], dtype))
    return Placed(out[:, : fitted.n_components], out[:, fitted.n_components])


def _settle(fitted: LandmarkMap, part: Array, bad: NDArray[np.bool_] | None, ones: Array) -> None:
    """Take |out|^2 off the residual, scale rows, and blank those that are bad or came out undefined; in place."""
    k = fitted.n_components
    if bad is not None:
        part[bad] = np.nan
    if fitted.scale is not None:
        degree = np.maximum(part[:, k + 1], fitted.scale.floor)
        part[:, :k] *= (degree**fitted.scale.power)[:, None]
    if fitted.unit_rows:
        part[:, :k] /= np.sqrt(np.vecdot(part[:, :k], part[:, :k]))[:, None]
    if fitted.residual_weights is None and fitted.spread is None:
        part[:, k] = 0
    elif fitted.spread is None:
        part[:, k] -= np.vecdot(part[:, :k], part[:, :k])
    undefined = ~np.isfinite(part[:, : k + 1] @ ones[: k + 1])
    if undefined.any():
        part[undefined] = np.nan
    if fitted.residual_weights is None and fitted.spread is None:
        part[:, k] = np.nan


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


def _collapsed(fitted: LandmarkMap, dtype: np.dtype[Any]) -> Fill:
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
        center = Z.mean(axis=0)
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


def _reader(fitted: LandmarkMap, dtype: np.dtype[Any]) -> Read:
    """One product of the block with [readout | residual weights | scale weights], and the spread."""
    weights, offset = columns_of(fitted)
    k = fitted.n_components
    kernel = fitted.block if fitted.self_term and isinstance(fitted.block, Kernel) else None
    narrow, constant = weights.astype(dtype), offset.astype(dtype)
    identity = fitted.is_identity and k > 1
    spread, scale = fitted.spread, fitted.scale

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
        if scale is not None or identity:  # a block of zeros has no degree: NaN, not a floor
            out[~values.any(axis=1)] = np.nan

    return read


def _block_evaluator(fitted: LandmarkMap, dtype: np.dtype[Any]) -> Evaluate:
    block = fitted.block
    Z = np.asarray(fitted.landmarks, np.float64)
    if isinstance(block, Kernel) and block.name == "rbf":
        centered = Z - Z.mean(axis=0)
        reach = block.gamma * float(np.einsum("ij,ij->i", centered, centered).max())
        return FusedRbf(Z, block.gamma, dtype if reach < FUSED_LIMIT else np.dtype(np.float64))
    same = Z.astype(dtype) if isinstance(block, Kernel) else Z
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

    def __post_init__(self) -> None:
        center = self.landmarks.mean(axis=0)
        Z = self.landmarks - center
        rows = [2 * self.gamma * Z.T, np.full((1, len(Z)), -self.gamma)]
        rows.append(-self.gamma * np.einsum("ij,ij->i", Z, Z)[None, :])
        self.center = center.astype(self.dtype)
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

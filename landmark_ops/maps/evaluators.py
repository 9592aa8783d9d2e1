"""Evaluators of maps that do not fold, on one tile of rows: the block, and the products with it.

Prepared once per map and dtype (`prepared.py`): constants in the dtype of the rows.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from landmark_ops.maps.columns import columns_of
from landmark_ops.maps.folded import is_identity
from landmark_ops.maps.parts import MapParts
from landmark_ops.maps.prepared import prepared
from landmark_ops.numerics.blocks import evaluate_block, negative_rows
from landmark_ops.numerics.distances import Array
from landmark_ops.numerics.kernel import Kernel, kernel_diagonal

# Below this a row's largest weight, which its coordinates are divided by, has lost digits in float32's exponents.
FAINT = 1e-4

Evaluate = Callable[[Array], Array]
Read = Callable[[Array, Array, Array], None]  # rows, their block (b, m), into columns (b, width)


def block_evaluator(fitted: MapParts, dtype: np.dtype[Any]) -> Evaluate:
    """The block (b, m) of a tile of rows."""
    block = fitted.block
    Z = np.asarray(fitted.landmarks, np.float64)
    if isinstance(block, Kernel) and (faster := block.family.prepare(Z, block, dtype)) is not None:
        return faster
    low = Z.astype(dtype)
    same = low if isinstance(block, Kernel) and np.array_equal(low, Z) else Z
    return lambda X: evaluate_block(block, X, same)


def reader(fitted: MapParts, dtype: np.dtype[Any]) -> Read:
    """One product of the block with [readout | residual weights | scale weights], and the spread."""
    weights, offset = columns_of(fitted)
    k = fitted.n_components
    kernel = fitted.block if fitted.self_term and isinstance(fitted.block, Kernel) else None
    narrow, constant = weights.astype(dtype), offset.astype(dtype)
    identity = prepared(fitted, is_identity) and k > 1
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
            out[faint] = np.nan  # in float32: computed again in float64, which has more digits
            negative = negative_rows(values, block)
            if negative is not None:
                out[negative] = np.nan

    return read

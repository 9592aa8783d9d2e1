"""The kinds of block between rows and landmarks: metrics, kernels, geodesics, affine weights.

A new kind of block is one class with `name` and `fn`, and one line in each of the functions below.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from landmark_ops.errors import InputError
from landmark_ops.numerics.affine_weights import Weights
from landmark_ops.numerics.distances import Array
from landmark_ops.numerics.domains import Domain, Mask
from landmark_ops.numerics.geodesic_block import Geodesic
from landmark_ops.numerics.kernel import Kernel, kernel_block
from landmark_ops.numerics.metric import Metric, sq_dists

# Relative to the largest value of a row's block: weights this far below 0 are not rounding.
NEGATIVE = 1e-5

Block = Metric | Kernel | Geodesic | Weights


def evaluate_block(block: Block, X: Array, Z: Array) -> Array:
    """The (b, m) block of rows X (b, d) against landmarks Z (m, d), distances squared, in the dtype of X if it can."""
    if isinstance(block, Metric):
        return sq_dists(X, Z, block)
    if isinstance(block, Kernel):
        return kernel_block(X, Z, block)
    if isinstance(block, Geodesic):
        return block.sq_block(X)
    return block.block(X, Z)


def collapse_transform(block: Block) -> str | None:
    """The row transform T under which the block is |T(x)|^2 plus linear in T(x), or None where it is not."""
    return block.transform if isinstance(block, Metric | Kernel) else None


def domain(block: Block) -> Domain | None:
    """The condition a block puts on single rows, or None where every finite row will do."""
    if isinstance(block, Geodesic):
        return domain(block.metric)
    return None if isinstance(block, Weights) else block.family.domain


def takes_nan(block: Block) -> bool:
    """Whether rows holding NaN may have a block."""
    return isinstance(block, Metric) and block.family.takes_nan


def negative_rows(values: Array, block: Block) -> Mask | None:
    """Which rows (b,) of a block (b, m) hold negative weights; None where the kernel has none."""
    if not isinstance(block, Kernel) or block.family.never_negative:
        return None
    low = values.min(axis=1)
    if not (low < 0).any():
        return None
    return np.asarray(low < -NEGATIVE * np.abs(values).max(axis=1))


def block_key(block: Block) -> tuple[Any, ...]:
    """Equal for blocks that give the same numbers, so that several maps in one pass share them."""
    if isinstance(block, Kernel) and block.fn is None:
        return (block.name, *block.numbers.values())
    if isinstance(block, Metric) and block.fn is None and not block.params:
        return (block.name,)
    return (block.name, id(block.fn or block))


def row_geometry(block: Block) -> Metric | Kernel:
    """The measure between any two rows: the block itself, or the metric under geodesics and weights."""
    if isinstance(block, Metric | Kernel):
        return block
    return block.metric if isinstance(block, Geodesic) else Metric("euclidean")


def block_state(block: Block) -> tuple[dict[str, Array], dict[str, Any]]:
    """Arrays and JSON-able parameters of a block. InputError for a user's callable: code is not data."""
    if block.fn is not None:
        raise InputError(
            "a map over a callable metric or kernel cannot be stored, code is not data: "
            "keep it in memory, or use a named metric or kernel"
        )
    if isinstance(block, Kernel):
        return {}, {"kind": "kernel", "name": block.name, **block.numbers}
    if isinstance(block, Metric):
        scalars = {key: float(value) for key, value in block.params.items() if np.ndim(value) == 0}
        vectors = {key: np.asarray(block.params[key], np.float64) for key in block.params.keys() - scalars.keys()}
        return vectors, {"kind": "metric", "name": block.name, "params": scalars}
    arrays, meta = block.to_state()
    return arrays, {"kind": block.name, **meta}


def block_from_state(arrays: Mapping[str, Array], meta: Mapping[str, Any]) -> Block:
    """Rebuild a block from `block_state`."""
    rest = {key: value for key, value in meta.items() if key != "kind"}
    if meta["kind"] == "kernel":
        return Kernel(rest.pop("name"), **rest)
    if meta["kind"] == "metric":
        return Metric(rest["name"], {**rest["params"], **arrays})
    kinds: dict[str, type[Geodesic] | type[Weights]] = {"geodesic": Geodesic, "weights": Weights}
    return kinds[meta["kind"]].from_state(arrays, rest)

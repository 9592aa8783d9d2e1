"""What may stand between rows and landmarks, told apart in one place: metrics, kernels, geodesics, affine weights.

A new kind of block is one class with `name` and `fn`, and one line in each of the functions below.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from landmark_ops.errors import InputError
from landmark_ops.numerics.affine_weights import Weights
from landmark_ops.numerics.distances import EUCLIDEAN_FAMILY, Array, Metric, sq_dists
from landmark_ops.numerics.geodesic_block import Geodesic
from landmark_ops.numerics.kernel import Kernel, kernel_block

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
    if isinstance(block, Metric):
        return EUCLIDEAN_FAMILY.get(block.name)
    return {"linear": "none", "cosine": "unit"}.get(block.name) if isinstance(block, Kernel) else None


def block_key(block: Block) -> tuple[Any, ...]:
    """Equal for blocks that give the same numbers, so that several maps in one pass share them."""
    if isinstance(block, Kernel) and block.fn is None:
        return (block.name, block.gamma, block.degree, block.coef0, block.nu)
    if isinstance(block, Metric) and block.fn is None and not block.params:
        return (block.name,)
    return (block.name, id(block.fn or block))


def row_geometry(block: Block) -> Metric | Kernel:
    """What can be measured between two rows: the block itself, or the metric under geodesics and weights."""
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
        names = ("name", "gamma", "degree", "coef0", "nu")
        return {}, {"kind": "kernel", **{name: getattr(block, name) for name in names}}
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
        return Kernel(**rest)
    if meta["kind"] == "metric":
        return Metric(rest["name"], {**rest["params"], **arrays})
    kinds: dict[str, type[Geodesic] | type[Weights]] = {"geodesic": Geodesic, "weights": Weights}
    return kinds[meta["kind"]].from_state(arrays, rest)

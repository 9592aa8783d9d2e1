"""What metrics and kernels ask of rows: values they are defined for, weights that are not negative.

Looked at in every row, in the pass that reads it: a row outside gets no coordinates, whichever rows are landmarks.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from landmark_ops.numerics.affine_weights import Weights
from landmark_ops.numerics.blocks import Block
from landmark_ops.numerics.distances import BOOLEAN, Array
from landmark_ops.numerics.geodesic_block import Geodesic
from landmark_ops.numerics.kernel import Kernel

Mask = NDArray[np.bool_]

#: Kernels that cannot be negative, whatever the rows.
NEVER_NEGATIVE = ("rbf", "laplacian", "chi2", "matern")
# Of the largest value of a row's block: weights this far below 0 are no rounding.
NEGATIVE = 1e-5


class Domain(NamedTuple):
    """What a metric or kernel asks of each row: `within` (b, d) -> (b,) bool, and in words what rows outside do."""

    within: Callable[[Array], Mask]
    violation: str
    remedy: str


def domain(block: Block) -> Domain | None:
    """The condition a block puts on single rows, or None where every finite row will do."""
    if isinstance(block, Geodesic):
        return domain(block.metric)
    if isinstance(block, Weights) or block.fn is not None:
        return None
    name = f"{'kernel' if isinstance(block, Kernel) else 'metric'} {block.name}"
    if block.name == "chi2":
        return Domain(
            _not_negative,
            f"hold negative values, {name} is defined for histograms (>= 0)",
            "choose another, or clean the source",
        )
    if isinstance(block, Kernel):
        return None
    if block.name == "jensenshannon":
        words = f"hold negative values or nothing but zeros, {name} is defined for histograms (>= 0)"
        return Domain(_histogram, words, "choose another, or clean the source")
    if block.name == "braycurtis":
        return Domain(_not_zero, f"are zero rows, {name} is undefined between two of them", "drop them")
    if block.name in ("dice", "sokalsneath"):
        words = (
            f"hold values other than 0 and 1, or only 0; {name} compares booleans and is undefined between zero rows"
        )
        return Domain(_some_ones, words, "threshold them, or drop zero rows")
    if block.name in BOOLEAN:
        return Domain(_zero_or_one, f"hold values other than 0 and 1, {name} compares booleans", "threshold them")
    if block.name == "haversine":
        return Domain(
            _radians,
            f"are no (latitude, longitude) in radians, {name} takes -pi/2 to pi/2 and -2 pi to 2 pi",
            "convert degrees to radians",
        )
    if block.name == "precomputed":
        return Domain(_not_negative, "hold negative distances", "use a Nystrom method with kernel: precomputed")
    return None


def _not_negative(X: Array) -> Mask:
    return np.asarray(~(X < 0).any(axis=1))


def _not_zero(X: Array) -> Mask:
    return np.asarray(X.any(axis=1))


def _histogram(X: Array) -> Mask:
    return _not_negative(X) & _not_zero(X)


def _some_ones(X: Array) -> Mask:
    return _zero_or_one(X) & _not_zero(X)


def _zero_or_one(X: Array) -> Mask:
    return np.asarray(((X == 0) | (X == 1)).all(axis=1))


def _radians(X: Array) -> Mask:
    limit = np.asarray([np.pi / 2, 2 * np.pi]) * (1 + 1e-6)
    return np.asarray((np.abs(X) <= limit).all(axis=1))


def negative_rows(values: Array, block: Block) -> Mask | None:
    """Which rows (b,) of a block (b, m) hold negative weights; None where the kernel has none."""
    if not isinstance(block, Kernel) or block.name in NEVER_NEGATIVE:
        return None
    low = values.min(axis=1)
    if not (low < 0).any():
        return None
    return np.asarray(low < -NEGATIVE * np.abs(values).max(axis=1))

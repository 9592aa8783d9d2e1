"""Why a row has no coordinates: the conditions of metrics and kernels, and the cause found for rows that fail them.

Pure functions of a block and rows. `domain` is what a pass looks at in every row it reads; `causes` is asked only once
rows have come out undefined, and names what was found. Values of rows are never part of what is said.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from landmark_ops.errors import InputError
from landmark_ops.numerics.affine_weights import Weights
from landmark_ops.numerics.blocks import Block, evaluate_block
from landmark_ops.numerics.distances import BOOLEAN, Array, Metric, transform_rows
from landmark_ops.numerics.geodesic_block import Geodesic
from landmark_ops.numerics.kernels import Kernel

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


class Cause(NamedTuple):
    """Why some of the rows looked at have no coordinates: which (b,) bool, in words, and what to do about it."""

    rows: Mask
    words: str
    remedy: str


def domain(block: Block) -> Domain | None:
    """The condition a block puts on single rows, or None where every finite row will do."""
    if isinstance(block, Geodesic):
        return domain(block.metric)
    if isinstance(block, Weights) or block.fn is not None:
        return None
    name = f"{'kernel' if isinstance(block, Kernel) else 'metric'} {block.name}"
    if block.name in ("chi2", "jensenshannon"):
        return Domain(_not_negative, f"hold negative values, {name} is defined for histograms (>= 0)", "choose another")
    if isinstance(block, Kernel):
        return None
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


def refuse_outside(X: Array, block: Block, where: str, first: int = 0) -> None:
    """InputError where rows X (b, d), numbered from `first`, lie outside the domain of a block."""
    asked = domain(block)
    if asked is None:
        return
    outside = np.flatnonzero(np.isfinite(X).all(axis=1) & ~asked.within(X))
    if len(outside):
        raise InputError(
            f"{where}: {len(outside)} of {len(X)} rows {asked.violation}, the first is row {first + int(outside[0])}: "
            f"{asked.remedy}, or clean the source"
        )


def causes(block: Block, Z: Array, X: Array, affinity: bool = False) -> list[Cause]:
    """Why rows X (b, d), placed by their block against landmarks Z (m, d), are undefined; each row has one cause.

    `affinity`: the block is used as weights, which must not be negative nor all vanish. Rows for which none of the
    causes is found are not among the answers.
    """
    X = np.asarray(X, np.float64)
    found: list[Cause] = []
    left = np.ones(len(X), bool)

    def note(rows: Any, words: str, remedy: str) -> None:
        here = left & rows
        if here.any():
            found.append(Cause(here, words, remedy))
            left[here] = False

    finite = np.isfinite(X).all(axis=1)
    hides_nan = isinstance(block, Metric) and block.name == "nan_euclidean"
    if hides_nan:
        note(np.isnan(X).all(axis=1), "hold nothing but NaN", "clean the source")
        note(np.isinf(X).any(axis=1), "hold Inf", "clean the source")
    else:
        note(~finite, "hold NaN or Inf", "clean the source")
    asked = domain(block)
    if asked is not None:
        note(~asked.within(X), asked.violation, asked.remedy)
    geometry = block.metric if isinstance(block, Geodesic) else block
    what = f"{'kernel' if isinstance(block, Kernel) else 'metric'} {geometry.name}"
    transform = geometry.transform if isinstance(geometry, Metric) else "unit" if geometry.name == "cosine" else None
    if transform in ("unit", "center_unit"):
        none = "are zero" if transform == "unit" else "are constant"
        direction = np.isfinite(transform_rows(X, transform)).all(axis=1)
        note(~direction, f"{none} and so have no direction, which {what} needs", "drop them or choose another")
    if not left.any():
        return found
    at = np.flatnonzero(left)
    with np.errstate(all="ignore"):
        values = np.asarray(evaluate_block(block, X[at], np.asarray(Z, np.float64)), np.float64)
        overflown, unknown = np.isinf(values).any(axis=1), np.isnan(values).any(axis=1)
    note(_at(at, overflown, len(X)), f"are so large that {what} overflows float64", "scale the rows down")
    lost = "is undefined between them and a landmark"
    note(_at(at, unknown, len(X)), f"are such that {what} {lost}", "drop them or choose another")
    if affinity:
        faint = _at(at, ~values.any(axis=1), len(X))
        note(faint, f"are so far from all landmarks that {what} vanishes", "choose a smaller gamma or more landmarks")
        negative = negative_rows(values, block)
        if negative is not None:
            words = f"have negative weights under {what}, spectral and diffusion methods need an affinity"
            note(_at(at, negative, len(X)), words, "use rbf, laplacian or matern")
    return found


def _at(at: NDArray[np.int64], flags: Any, size: int) -> Mask:
    out = np.zeros(size, bool)
    out[at[flags]] = True
    return out

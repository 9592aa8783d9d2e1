"""Why rows have no coordinates under a map: looked at only once some are found to have none.

Maps blank what they cannot place, whatever the reason (`evaluation.py`). Here the reason is found row by row, in
float64, so that a refusal, a report or an estimator can name it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from enum import IntEnum
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from landmark_ops.errors import BadRowsError, InputError, Word
from landmark_ops.maps.folded import is_identity
from landmark_ops.maps.landmark_map import LandmarkMap
from landmark_ops.maps.parts import Placed
from landmark_ops.maps.prepared import prepared
from landmark_ops.numerics.blocks import Block, evaluate_block, row_geometry
from landmark_ops.numerics.distances import EUCLIDEAN_FAMILY, Array
from landmark_ops.numerics.domains import domain, negative_rows
from landmark_ops.numerics.geodesic_block import Geodesic
from landmark_ops.numerics.kernel import Kernel
from landmark_ops.numerics.ranges import squares

#: Blocks whose float64 value is only ever not finite because it overflows.
PRODUCTS = (*EUCLIDEAN_FAMILY, "linear", "polynomial", "sigmoid", "rbf", "matern")


class Cause(IntEnum):
    """Why a row has no coordinates; `WORDS` says it."""

    DEFINED = 0
    NOT_FINITE = 1
    BAD_LANDMARK = 2
    ZERO = 3
    CONSTANT = 4
    OVERFLOW = 5
    RANGE = 6
    VANISHED = 7
    UNREACHED = 8
    NO_LENGTH = 9
    UNDEFINED = 10
    OUTSIDE = 11
    NOT_STORED = 12
    NEGATIVE = 13
    NO_POWER = 14


class Words(NamedTuple):
    """A cause in words: what the rows do, "3 rows ..."; what may be done. {block} names metric or kernel."""

    what: str
    remedy: str


WORDS: dict[Cause, Words] = {
    Cause.NOT_FINITE: Words("hold NaN or Inf", f"clean the {Word.SOURCE}"),
    Cause.BAD_LANDMARK: Words(
        "are compared with landmarks that hold NaN or Inf, or have no direction", "give other landmarks"
    ),
    Cause.ZERO: Words(
        "are zero rows, which have no direction under {block}", "drop them, or choose another metric or kernel"
    ),
    Cause.CONSTANT: Words(
        "are constant rows, which have no direction under {block}", "drop them, or choose another metric or kernel"
    ),
    Cause.OVERFLOW: Words("are so large that {block} overflows float64", "scale the rows"),
    Cause.RANGE: Words("leave the range of float32 under {block}", "scale the rows, or store them as float64"),
    Cause.VANISHED: Words(
        "lie far from all landmarks, under a bandwidth so narrow that the kernel vanishes ({block})",
        "choose a smaller gamma, or more landmarks",
    ),
    Cause.UNREACHED: Words(
        "are reached by no landmark along the graph of neighbours", "raise n_neighbors, or choose components: join"
    ),
    Cause.NO_LENGTH: Words("come out at the origin and cannot be scaled to unit length", "choose another gamma"),
    Cause.NEGATIVE: Words(
        "have negative weights under {block}, where a degree needs them not negative", "choose e.g. kernel rbf"
    ),
    Cause.NO_POWER: Words(
        "give {block} a negative number to raise to a fractional degree", "choose a whole degree, or a larger coef0"
    ),
    Cause.NOT_STORED: Words(
        "get coordinates or predictions that float32, in which they are stored, cannot hold", "scale the rows"
    ),
    Cause.UNDEFINED: Words("get NaN or Inf from {block}", "drop them, or choose another metric or kernel"),
}


class Found(NamedTuple):
    """How many rows have no coordinates for one cause, and the lowest global index among them."""

    rows: int
    first: int


Tally = Mapping[Cause, Found]


def words(cause: Cause, block: Block) -> Words:
    """A cause in words; what lies outside the domain of a metric or kernel is in its own."""
    asked = domain(block)
    if cause == Cause.OUTSIDE and asked is not None:
        return Words(asked.violation, asked.remedy)
    return WORDS[cause]


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
    transform = {"cosine": "unit"}.get(geometry.name) if isinstance(geometry, Kernel) else geometry.transform
    if transform == "center_unit":
        out[(X[:, :1] == X).all(axis=1)] = Cause.CONSTANT
    if transform in ("unit", "center_unit"):
        out[~X.any(axis=1)] = Cause.ZERO
    if (asked := domain(block)) is not None:
        out[~asked.within(X)] = Cause.OUTSIDE
    if geometry.name != "nan_euclidean":  # which is there for them
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
        out[left] = Cause.OVERFLOW if geometry.fn is None and geometry.name in PRODUCTS else Cause.UNDEFINED
        if isinstance(geometry, Kernel) and geometry.name == "polynomial" and geometry.degree % 1:
            out[left & np.isnan(values).any(axis=1)] = Cause.NO_POWER
    return out


def map_causes(fitted: LandmarkMap, X: Array) -> NDArray[np.int8]:
    """A `Cause` for each of the rows X (b, d) without coordinates whose block is finite in float64, (b,)."""
    with np.errstate(all="ignore"):
        values = fitted.block_of(X)
        negative = negative_rows(values, fitted.block)
        wide = replace(fitted, double=True)
        placed = wide.place(X)
        lengths = replace(wide, unit_rows=False).place(X).embedding
    plain = fitted.block.fn is None and fitted.block.name in PRODUCTS  # the block is finite, its squares are not
    out = np.where(undefined(placed), Cause.OVERFLOW if plain else Cause.UNDEFINED, Cause.RANGE).astype(np.int8)
    if fitted.unit_rows:
        out[undefined(placed) & ~lengths.any(axis=1)] = Cause.NO_LENGTH
    if fitted.scale is not None or prepared(fitted, is_identity):  # the block is used as weights
        if negative is not None:
            out[undefined(placed) & negative] = Cause.NEGATIVE
        out[undefined(placed) & ~values.any(axis=1)] = Cause.VANISHED
    return out


def tally(found: NDArray[np.int8], indices: NDArray[np.int64]) -> dict[Cause, Found]:
    """Causes (b,) of the rows `indices` (b,), ascending, counted."""
    which, first, rows = np.unique(found, return_index=True, return_counts=True)
    return {
        Cause(int(one)): Found(int(count), int(indices[at]))
        for one, at, count in zip(which, first, rows, strict=True)
        if one != Cause.DEFINED
    }


def add_tallies(parts: Sequence[Tally]) -> dict[Cause, Found]:
    """The counts of several blocks together, by cause."""
    out: dict[Cause, Found] = {}
    for part in parts:
        for cause, found in part.items():
            old = out.get(cause, Found(0, found.first))
            out[cause] = Found(old.rows + found.rows, min(old.first, found.first))
    return dict(sorted(out.items()))


def block_name(block: Block) -> str:
    """What a message calls a block: "kernel rbf with gamma 0.5", "metric cosine"."""
    if isinstance(block, Kernel):
        gamma = (
            "" if block.name in ("linear", "cosine", "precomputed", "callable") else f" with gamma {block.gamma:.3g}"
        )
        return f"kernel {block.name}{gamma}"
    return f"metric {row_geometry(block).name}"


def describe(found: Tally, block: Block, n: int | None = None, noun: str = "row") -> str:
    """The causes found: "3 rows hold NaN or Inf, the first is row 57; 12 rows are ...", or "3 of 400 rows" for n."""
    name, among = block_name(block), "" if n is None else f" of {n:,}"
    return "; ".join(
        f"{one.rows:,}{among} {noun}s {words(cause, block).what.format(block=name)}, the first is {noun} {one.first}"
        for cause, one in found.items()
    )


def landmark_refusal(block: Block, Z: Array) -> InputError:
    """The error for landmarks Z (m, d) between which the block is not finite everywhere."""
    own = row_causes(block, Z)
    found = tally(own if own.any() else block_causes(block, Z, Z), np.arange(len(Z)))
    remedies = dict.fromkeys(words(cause, block).remedy for cause in found)
    return InputError(
        f"{block_name(block)}: undefined on {sum(one.rows for one in found.values())} of {len(Z)} landmarks: "
        f"{describe(found, block, noun='landmark')}: {'; '.join(remedies)}"
    )


def refusal(found: Tally, block: Block, n: int, where: str) -> InputError:
    """The error for `n` rows at `where` of which some have no coordinates."""
    if set(found) == {Cause.NOT_FINITE}:
        return BadRowsError(*found[Cause.NOT_FINITE], n, where)
    remedies = dict.fromkeys(words(cause, block).remedy for cause in found)
    return InputError(f"{where}: {describe(found, block, n)}: {'; '.join(remedies)}{Word.OR_MARK}")

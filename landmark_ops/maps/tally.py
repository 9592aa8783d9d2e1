"""Rows without coordinates, counted by cause, and the errors that name them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from landmark_ops.errors import BadRowsError, InputError, Word
from landmark_ops.maps.causes import Cause, block_name, words
from landmark_ops.maps.undefined import block_causes, row_causes
from landmark_ops.numerics.blocks import Block
from landmark_ops.numerics.distances import Array


class Found(NamedTuple):
    """How many rows have no coordinates for one cause, and the lowest global index among them."""

    rows: int
    first: int


Tally = Mapping[Cause, Found]


def tally(found: NDArray[np.int8], indices: NDArray[np.int64]) -> dict[Cause, Found]:
    """Causes (b,) of the rows `indices` (b,), ascending, counted."""
    which, first, rows = np.unique(found, return_index=True, return_counts=True)
    return {
        Cause(int(one)): Found(int(count), int(indices[at]))
        for one, at, count in zip(which, first, rows, strict=True)
        if one != Cause.DEFINED
    }


def add_tallies(parts: Sequence[Tally]) -> dict[Cause, Found]:
    """The counts of several parts together, by cause."""
    out: dict[Cause, Found] = {}
    for part in parts:
        for cause, found in part.items():
            old = out.get(cause, Found(0, found.first))
            out[cause] = Found(old.rows + found.rows, min(old.first, found.first))
    return dict(sorted(out.items()))


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

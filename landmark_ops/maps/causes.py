"""Why a row may have no coordinates, and what to do about it, in words."""

from __future__ import annotations

from enum import IntEnum

from landmark_ops.errors import Word
from landmark_ops.numerics.blocks import Block, domain, row_geometry
from landmark_ops.numerics.domains import Words
from landmark_ops.numerics.kernel import Kernel


class Cause(IntEnum):
    """Why a row has no coordinates; `WORDS` has the words for each."""

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
    NOT_A_NUMBER = 14


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
    Cause.NOT_STORED: Words(
        "get coordinates or predictions that float32, in which they are stored, cannot hold", "scale the rows"
    ),
    Cause.UNDEFINED: Words("get NaN or Inf from {block}", "drop them, or choose another metric or kernel"),
}


def words(cause: Cause, block: Block) -> Words:
    """A cause in words; those of a metric or kernel, for rows outside its domain or NaN under it, are its own."""
    asked = domain(block)
    if cause == Cause.OUTSIDE and asked is not None:
        return Words(asked.violation, asked.remedy)
    if cause == Cause.NOT_A_NUMBER and isinstance(block, Kernel):
        return block.family.not_a_number(block) or WORDS[Cause.UNDEFINED]
    return WORDS[cause]


def block_name(block: Block) -> str:
    """The name of a block in messages: "kernel rbf with gamma 0.5", "metric cosine"."""
    if isinstance(block, Kernel):
        gamma = f" with gamma {block.gamma:.3g}" if "gamma" in block.family.parameters else ""
        return f"kernel {block.name}{gamma}"
    return f"metric {row_geometry(block).name}"

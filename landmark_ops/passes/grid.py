"""Ranges of rows whose bounds depend on the size of the rows alone, not on chunks or on how many workers there are."""

from __future__ import annotations

BLOCK_ELEMENTS = 1 << 22  # 32 MiB of float64
BLOCK_ROWS = (1 << 10, 1 << 18)  # at least, at most


def power_of_two(value: int) -> int:
    """The largest power of two that is at most `value` (at least 1)."""
    return 1 << (max(value, 1).bit_length() - 1)


def block_rows(d: int) -> int:
    """Rows per range: a power of two, about 32 MiB of float64, so mostly a multiple of the storage chunks."""
    low, high = BLOCK_ROWS
    return min(max(power_of_two(BLOCK_ELEMENTS // d), low), high)

"""Sizes and durations as people write and read them. Exact numbers of a report are written by `report.numbers`."""

from __future__ import annotations

from typing import Any

from landmark_ops.wording import shown

UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12, "ki": 2**10, "mi": 2**20, "gi": 2**30, "ti": 2**40}


def parse_size(value: Any) -> Any:
    """The bytes that 4GiB or 500MB stand for, as an int; what is no text passes through, a whole float as an int.

    Raises ValueError for a text that is no size.
    """
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if not isinstance(value, str):
        return value
    text = value.strip().lower().removesuffix("b")
    number = text.rstrip("kmgti ")
    unit = text[len(number) :].strip()
    try:
        return int(float(number) * UNITS[unit])
    except (ValueError, KeyError, OverflowError):
        raise ValueError(f"{shown(value)} is no size: write e.g. 4GiB or 500MB") from None


def size(count: float) -> str:
    """Bytes of memory: 512 B, 3.4 MiB, 120 GiB.

    >>> size(3 << 19)
    '1.5 MiB'
    """
    value = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < 1024:
            return _three_digits(value, unit)
        value /= 1024
    return _three_digits(value, "TiB")


def _three_digits(value: float, unit: str) -> str:
    return f"{value:.0f} {unit}" if unit == "B" or value >= 100 else f"{value:.1f} {unit}"


def megabytes(count: int) -> str:
    """Bytes of a file to be fetched, in units of 10⁶ as downloads are measured: 2.31 MB."""
    return f"{count / 1e6:.2f} MB"


def duration(seconds: float) -> str:
    """A duration, to the precision needed while watching: 0.42 s, 12 s, 3 min 05 s, 2 h 10 min."""
    if seconds < 10:
        return f"{seconds:.2g} s" if seconds < 1 else f"{seconds:.1f} s"
    return f"{seconds:.0f} s" if seconds < 90 else minutes(seconds)


def minutes(seconds: float) -> str:
    """A duration from a minute on: 1 min 05 s, 2 h 10 min.

    >>> minutes(65), minutes(7830)
    ('1 min 05 s', '2 h 10 min')
    """
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    rounded = round(seconds / 60)
    return f"{rounded // 60:,} h {rounded % 60:02d} min"

"""Image file directories: the tag tables of TIFF files and of EXIF blocks, read without a decoder.

Reads integer tags only, never follows a pointer outside the given bytes, and never loops.
"""

from __future__ import annotations

import struct
from collections.abc import Container
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

#: TIFF integer types: code -> letter of NumPy's and struct's type.
INTEGERS = {1: "u1", 3: "u2", 4: "u4", 7: "u1", 16: "u8"}
SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
#: More values than this belong to no tag that is read here (a strip per row of the highest picture is far fewer).
MAX_VALUES = 4_000_000

#: What reading at an offset beyond the bytes raises; the last from 64-bit offsets.
UNREADABLE = (struct.error, IndexError, OverflowError)


class Directory(NamedTuple):
    """The wanted integer tags of one directory, and the offset of the next one, 0 at the end."""

    tags: dict[int, NDArray[np.uint64]]
    following: int


class Layout(NamedTuple):
    """Byte order ("<" or ">"), whether offsets have 64 bits (BigTIFF), and where the first directory is."""

    order: str
    big: bool
    first: int


def read_layout(data: bytes) -> Layout | None:
    """The first bytes of a TIFF stream, or None where they are not those of one. Raises UNREADABLE when cut off."""
    if data[:4] in (b"II*\0", b"MM\0*"):
        order = "<" if data[:1] == b"I" else ">"
        return Layout(order, False, struct.unpack_from(order + "I", data, 4)[0])
    if data[:4] in (b"II+\0", b"MM\0+"):
        order = "<" if data[:1] == b"I" else ">"
        return Layout(order, True, struct.unpack_from(order + "Q", data, 8)[0])
    return None


def read_directory(data: bytes, at: int, layout: Layout, wanted: Container[int]) -> Directory:
    """The directory at an offset. Raises UNREADABLE where the bytes end before it does; drops unreadable tags."""
    order, big = layout.order, layout.big
    (count,) = struct.unpack_from(order + ("Q" if big else "H"), data, at)
    at += 8 if big else 2
    entry, inline = (20, 8) if big else (12, 4)
    struct.unpack_from(order + ("Q" if big else "I"), data, at + count * entry)  # the whole table is there
    tags: dict[int, NDArray[np.uint64]] = {}
    for here in range(at, at + count * entry, entry):
        tag, kind = struct.unpack_from(order + "HH", data, here)
        if tag not in wanted or kind not in INTEGERS:
            continue
        (n,) = struct.unpack_from(order + ("Q" if big else "I"), data, here + 4)
        size = n * SIZES[kind]
        start = here + entry - inline
        if size > inline:
            (start,) = struct.unpack_from(order + ("Q" if big else "I"), data, start)
        if 0 < n <= MAX_VALUES and start + size <= len(data):
            values = np.frombuffer(data, order + INTEGERS[kind], n, start)
            tags.setdefault(tag, values.astype(np.uint64))
    (following,) = struct.unpack_from(order + ("Q" if big else "I"), data, at + count * entry)
    return Directory(tags, following)

"""Boxes of the ISO base media format, in which AVIF and JP2 keep what they hold: nothing is decoded here."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

MAX_BOXES = 10_000


class Box(NamedTuple):
    """A box: its type, and where its body lies, `stop` excluded."""

    kind: bytes
    start: int
    stop: int


def read_boxes(data: bytes, start: int = 0, stop: int | None = None) -> Iterator[Box]:
    """The boxes that follow one another; ISO/IEC 14496-12, 4.2. Raises struct.error where one leads beyond the end."""
    end = len(data) if stop is None else stop
    for _ in range(MAX_BOXES):
        if start + 8 > end:
            return
        size, kind = struct.unpack_from(">I4s", data, start)
        body = start + 8
        if size == 1:
            (size,) = struct.unpack_from(">Q", data, body)
            body += 8
        after = end if size == 0 else start + size
        if after < body or after > end:
            raise struct.error("a box leads beyond the end")
        yield Box(kind, body, after)
        start = after
    raise struct.error("too many boxes")


def find_box(data: bytes, kind: bytes, start: int = 0, stop: int | None = None) -> Box:
    """The first box of a type. Raises struct.error where there is none."""
    for box in read_boxes(data, start, stop):
        if box.kind == kind:
            return box
    raise struct.error("no such box")

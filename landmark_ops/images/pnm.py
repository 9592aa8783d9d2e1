"""The header of a PBM, PGM or PPM picture, plain or raw; netpbm's own manual pages."""

from __future__ import annotations

import re
from typing import NamedTuple

_GAP = rb"(?:[ \t\r\n\v\f]|#[^\r\n]*[\r\n])+"
_HEADER = re.compile(rb"P([1-6])" + _GAP + rb"(\d{1,9})" + _GAP + rb"(\d{1,9})[ \t\r\n\v\f#]")
_DEEPEST = re.compile(rb"(?:[ \t\r\n\v\f]|#[^\r\n]*[\r\n])*(\d{1,5})[ \t\r\n\v\f]")
MAX_HEADER = 1 << 16


class Pnm(NamedTuple):
    """Pixels, bits per sample as stored, samples, the number after the P, and where the pixels begin."""

    width: int
    height: int
    bits: int
    samples: int
    kind: int
    start: int


def read_pnm(data: bytes) -> Pnm | None:
    """What the header says, None for bytes that are no such header."""
    found = _HEADER.match(data[:MAX_HEADER])
    if found is None:
        return None
    kind, width, height = (int(part) for part in found.groups())
    if kind in (1, 4):
        return Pnm(width, height, 1, 1, kind, found.end())
    deepest = _DEEPEST.match(data[:MAX_HEADER], found.end() - 1)
    if deepest is None or not 1 <= int(deepest[1]) <= 65535:
        return None
    return Pnm(width, height, 16 if int(deepest[1]) > 255 else 8, 3 if kind in (3, 6) else 1, kind, deepest.end())

"""The size of an AVIF picture and how it is turned, from the properties of its primary item.

    ftyp (brands)   meta ( pitm (which item)   iprp ( ipco (properties)   ipma (which item has which) ) )

AVIF 1.1 in HEIF, ISO/IEC 23008-12. A turn is said by `irot` and `imir`, applied in this order; EXIF does not count.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from landmark_ops.images import reasons
from landmark_ops.images.boxes import Box, find_box, read_boxes
from landmark_ops.images.reasons import DecodeFailure

#: EXIF orientation by quarter turns against the clock, then mirroring: None, top with bottom, left with right.
TURNS = {
    (0, None): 1,
    (0, 0): 4,
    (0, 1): 2,
    (1, None): 8,
    (1, 0): 5,
    (1, 1): 7,
    (2, None): 3,
    (2, 0): 2,
    (2, 1): 4,
    (3, None): 6,
    (3, 0): 7,
    (3, 1): 5,
}


class Primary(NamedTuple):
    """The primary item, as stored; `kind` is 1 for a sequence of pictures."""

    width: int
    height: int
    orientation: int
    kind: int


def is_avif(data: bytes) -> bool:
    """Whether the file type box names AVIF among its brands."""
    if data[4:8] != b"ftyp":
        return False
    (size,) = struct.unpack_from(">I", data)
    brands = {data[8:12], *(data[at : at + 4] for at in range(16, min(size, 256), 4))}
    return bool(brands & {b"avif", b"avis"})


def read_avif(data: bytes) -> Primary:
    """The primary item. Raises DecodeFailure for a cropped one, struct.error for a file cut off."""
    try:
        meta = find_box(data, b"meta")
        inside = (meta.start + 4, meta.stop)
        properties = _properties_of(data, _primary(data, find_box(data, b"pitm", *inside)), inside)
    except struct.error:
        if _complete(data):
            raise DecodeFailure(reasons.DECODER_ERROR, "an AVIF without a primary picture of known size") from None
        raise
    size, turn, mirror = None, 0, None
    for box in properties:
        if box.kind == b"ispe":
            size = struct.unpack_from(">II", data, box.start + 4)
        elif box.kind == b"irot":
            turn = data[box.start] & 3
        elif box.kind == b"imir":
            mirror = data[box.start] & 1
        elif box.kind == b"clap":
            raise DecodeFailure(reasons.UNSUPPORTED, "an AVIF that is cropped by its header (clap): convert it first")
    if size is None:
        raise DecodeFailure(reasons.DECODER_ERROR, "an AVIF whose primary picture has no size")
    sequence = int(any(box.kind == b"moov" for box in read_boxes(data)))
    return Primary(size[0], size[1], TURNS[turn, mirror], sequence)


def _primary(data: bytes, box: Box) -> int:
    code = ">I" if data[box.start] else ">H"
    return int(struct.unpack_from(code, data, box.start + 4)[0])


def _properties_of(data: bytes, item: int, inside: tuple[int, int]) -> list[Box]:
    """The properties associated with an item, in order."""
    iprp = find_box(data, b"iprp", *inside)
    ipco = find_box(data, b"ipco", iprp.start, iprp.stop)
    every = list(read_boxes(data, ipco.start, ipco.stop))
    for box in read_boxes(data, iprp.start, iprp.stop):
        if box.kind != b"ipma":
            continue
        version, wide = data[box.start], data[box.start + 3] & 1
        (count,) = struct.unpack_from(">I", data, box.start + 4)
        at = box.start + 8
        for _ in range(min(count, box.stop - at)):
            found, held = struct.unpack_from(">IB" if version else ">HB", data, at)
            at += 5 if version else 3
            indices = struct.unpack_from(f">{held}{'H' if wide else 'B'}", data, at)
            at += held * (2 if wide else 1)
            if found == item:
                mask = 0x7FFF if wide else 0x7F
                return [every[(index & mask) - 1] for index in indices if 0 < (index & mask) <= len(every)]
    raise struct.error("no properties")


def _complete(data: bytes) -> bool:
    try:
        return bool(list(read_boxes(data)))
    except struct.error:
        return False

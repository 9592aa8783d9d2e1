"""The size of a JPEG 2000 picture and whether its code stream is all there; ISO/IEC 15444-1, annexes A and I."""

from __future__ import annotations

import struct
from typing import NamedTuple

from landmark_ops.images import reasons
from landmark_ops.images.boxes import find_box, read_boxes
from landmark_ops.images.reasons import DecodeFailure

JP2 = b"\0\0\0\x0cjP  \r\n\x87\n"
CODESTREAM = b"\xff\x4f\xff\x51"
END = b"\xff\xd9"
MAX_PARTS = 100_000
CMYK, OPACITY = 12, 1


class Size(NamedTuple):
    """Pixels, bits per sample (the most of any), samples per pixel, and where the code stream begins."""

    width: int
    height: int
    bits: int
    samples: int
    start: int


def read_size(data: bytes) -> Size:
    """The SIZ segment of the code stream. Raises DecodeFailure, or struct.error for a file cut off."""
    start = 0
    if data.startswith(JP2):
        streams = [box for box in read_boxes(data, 0, _end_of_boxes(data)) if box.kind == b"jp2c"]
        if len(streams) > 1:
            raise DecodeFailure(reasons.ANIMATED, "a JPEG 2000 file of several pictures")
        start = streams[0].start if streams else find_box(data, b"jp2c").start
    if data[start : start + 4] != CODESTREAM:
        raise DecodeFailure(reasons.DECODER_ERROR, "a JPEG 2000 file whose code stream does not begin with its size")
    _, x1, y1, x0, y0 = struct.unpack_from(">HIIII", data, start + 6)
    (samples,) = struct.unpack_from(">H", data, start + 40)
    if x1 <= x0 or y1 <= y0 or not 1 <= samples <= 4:
        raise DecodeFailure(
            reasons.UNSUPPORTED, f"JPEG 2000 of {samples} samples, {x0}..{x1} by {y0}..{y1}: 1 to 4 are read"
        )
    if samples in (2, 4) and not _names_last(data, samples):
        raise DecodeFailure(
            reasons.UNSUPPORTED,
            f"JPEG 2000 of {samples} samples that does not say what the last one is, alpha, ink or a band of its own",
        )
    bits = max((data[start + 42 + 3 * at] & 0x7F) + 1 for at in range(samples))
    if bits > 16:
        raise DecodeFailure(reasons.UNSUPPORTED, f"JPEG 2000 samples of {bits} bits: at most 16 are read")
    return Size(x1 - x0, y1 - y0, bits, samples, start)


def is_whole(data: bytes, start: int) -> bool:
    """Whether every tile part of the code stream is there, up to the end marker."""
    at = start + 2
    while data[at : at + 2] != b"\xff\x90":  # the segments of the main header
        (length,) = struct.unpack_from(">H", data, at + 2)
        at += 2 + max(length, 2)
    for _ in range(MAX_PARTS):
        mark = data[at : at + 2]
        if mark == END:
            return True
        if mark != b"\xff\x90":
            return False
        (length,) = struct.unpack_from(">I", data, at + 6)
        if length == 0:  # the last part, which goes on to the end
            return data.rstrip(b"\0").endswith(END)
        at += max(length, 12)
    return False


def _names_last(data: bytes, samples: int) -> bool:
    """Whether the header says that the last sample is alpha, or that there are four inks; annex I.5.3."""
    if not data.startswith(JP2):
        return False
    header = find_box(data, b"jp2h")
    for box in read_boxes(data, header.start, header.stop):
        if box.kind == b"colr" and data[box.start] == 1 and samples == 4:
            if struct.unpack_from(">I", data, box.start + 3)[0] == CMYK:
                return True
        elif box.kind == b"cdef":
            (count,) = struct.unpack_from(">H", data, box.start)
            told = [struct.unpack_from(">HHH", data, box.start + 2 + 6 * at) for at in range(min(count, 16))]
            return any(channel == samples - 1 and kind == OPACITY for channel, kind, _ in told)
    return False


def _end_of_boxes(data: bytes) -> int:
    """Where the last whole box ends, or the last that is cut off begins: `is_whole` says if any is missing."""
    end = 0
    try:
        for box in read_boxes(data):
            end = box.stop
    except struct.error:
        return end
    return end

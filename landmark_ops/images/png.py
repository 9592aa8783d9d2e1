"""The header of a PNG file; ISO/IEC 15948."""

from __future__ import annotations

import struct

from landmark_ops.images import reasons
from landmark_ops.images.header import ImageHeader
from landmark_ops.images.reasons import DecodeFailure

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"


def read_png(data: bytes) -> ImageHeader:
    """IHDR, which has to be the first chunk."""
    length, name, width, height, bits, colour = struct.unpack_from(">I4sIIBB", data, 8)
    if name != b"IHDR" or length != 13:
        known = b"CgBI" if name == b"CgBI" else b"none"
        raise DecodeFailure(reasons.DECODER_ERROR, f"a PNG without IHDR as its first chunk ({known.decode()} there)")
    samples = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}.get(colour)
    if samples is None or bits not in (1, 2, 4, 8, 16):
        raise DecodeFailure(reasons.DECODER_ERROR, f"PNG colour type {colour} with {bits} bits does not exist")
    return ImageHeader("png", width, height, bits, samples, colour, start=33)

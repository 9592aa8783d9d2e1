"""The header of a WebP file; RFC 9649."""

from __future__ import annotations

import struct

from landmark_ops.images import reasons
from landmark_ops.images.header import ImageHeader
from landmark_ops.images.reasons import DecodeFailure


def read_webp(data: bytes) -> ImageHeader:
    """The first chunk: lossy frame, lossless frame or extended header; RFC 9649."""
    name = data[12:16]
    if name == b"VP8X":
        flags, low = struct.unpack_from("<BxxxI", data, 20)
        width = (low & 0xFFFFFF) + 1
        height = int.from_bytes(data[27:30], "little") + 1
        if len(data) < 30:
            raise struct.error
        return ImageHeader("webp", width, height, 0, 0, kind=flags, start=12)
    if name == b"VP8L":
        signature, packed = struct.unpack_from("<BI", data, 20)
        if signature != 0x2F:
            raise DecodeFailure(reasons.DECODER_ERROR, "a lossless WebP without its signature byte")
        alpha = packed >> 28 & 1
        return ImageHeader("webp", (packed & 0x3FFF) + 1, (packed >> 14 & 0x3FFF) + 1, 0, 0, alpha << 4, start=12)
    if name == b"VP8 ":
        code, width, height = struct.unpack_from("<xxx3sHH", data, 20)
        if code != b"\x9d\x01\x2a":
            raise DecodeFailure(reasons.DECODER_ERROR, "a lossy WebP that does not begin with a key frame")
        return ImageHeader("webp", width & 0x3FFF, height & 0x3FFF, 0, 0, start=12)
    if len(data) < 16:
        raise struct.error
    raise DecodeFailure(reasons.UNSUPPORTED, "a WebP whose first chunk is none of VP8, VP8L and VP8X")

"""The header of a BMP file, of Windows or OS/2."""

from __future__ import annotations

import struct

from landmark_ops.images import reasons
from landmark_ops.images.header import ImageHeader
from landmark_ops.images.reasons import DecodeFailure

#: Lengths of the DIB headers there are: two letters alone are no magic, and text may begin with them.
DIB_SIZES = (12, 40, 52, 56, 64, 108, 124)


def read_bmp(data: bytes) -> ImageHeader:
    """The DIB header: 16-bit sizes in the OS/2 one, signed 32-bit sizes (negative height: top down) in all others."""
    start, size = struct.unpack_from("<II", data, 10)
    if size == 12:
        width, height, bits = struct.unpack_from("<HHxxH", data, 18)
        return ImageHeader("bmp", width, height, bits, 1, start=start)
    width, height, bits, compression = struct.unpack_from("<iixxHI", data, 18)
    if width < 0:
        raise DecodeFailure(reasons.DECODER_ERROR, f"the header asks for {width} × {height} pixels")
    return ImageHeader("bmp", width, abs(height), bits, 1, compression, start=start)

"""Format and size of a file, parsed from its first bytes by our own small parsers, before anything decodes it.

Decoders allocate what a header asks for, so the pixel cap is applied to these numbers first. Nothing is inflated and
no pixel is read here; whether the rest of the file is there and fit to decode is the next step, in streams.py.
"""

from __future__ import annotations

import struct

from landmark_ops.images import ifd, reasons
from landmark_ops.images.avif import is_avif, read_avif
from landmark_ops.images.bmp import DIB_SIZES, read_bmp
from landmark_ops.images.foreign import unknown
from landmark_ops.images.header import ImageHeader
from landmark_ops.images.jpeg import read_jpeg
from landmark_ops.images.jpeg2000 import CODESTREAM, JP2, read_size
from landmark_ops.images.png import PNG_SIGNATURE, read_png
from landmark_ops.images.pnm import read_pnm
from landmark_ops.images.reasons import DecodeFailure
from landmark_ops.images.tiff import read_tiff
from landmark_ops.images.webp import read_webp


def read_header(data: bytes) -> ImageHeader:
    """Format and size of an encoded picture. Raises DecodeFailure: empty, not_an_image, unsupported, truncated."""
    if not data:
        raise DecodeFailure(reasons.EMPTY, "0 bytes")
    try:
        if data[:3] == b"\xff\xd8\xff":
            header = read_jpeg(data)
        elif data[:8] == PNG_SIGNATURE:
            header = read_png(data)
        elif data[:4] == b"RIFF" and data[8:12] == b"WEBP":
            header = read_webp(data)
        elif data[:6] in (b"GIF87a", b"GIF89a"):
            width, height = struct.unpack_from("<HH", data, 6)
            header = ImageHeader("gif", width, height, 0, 0, start=13)
        elif data[:2] == b"BM" and (len(data) < 18 or struct.unpack_from("<I", data, 14)[0] in DIB_SIZES):
            header = read_bmp(data)
        elif data[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
            header = read_tiff(data)
        elif is_avif(data):
            header = ImageHeader("avif", **read_avif(data)._asdict())
        elif data.startswith((JP2, CODESTREAM)):
            size = read_size(data)
            header = ImageHeader("jpeg2000", size.width, size.height, size.bits, size.samples, start=size.start)
        elif pnm := read_pnm(data):
            header = ImageHeader("pnm", pnm.width, pnm.height, pnm.bits, pnm.samples, pnm.kind, start=pnm.start)
        elif data[:4] == b"qoif":
            width, height, samples = struct.unpack_from(">IIB", data, 4)
            header = ImageHeader("qoi", width, height, 8, samples, start=14)
        else:
            raise unknown(data)
    except ifd.UNREADABLE:
        raise DecodeFailure(reasons.TRUNCATED, f"the header is cut off: {len(data)} bytes") from None
    if header.width == 0 or header.height == 0:
        raise DecodeFailure(reasons.DECODER_ERROR, f"the header asks for {header.width} × {header.height} pixels")
    return header

"""The header of a TIFF file; TIFF 6.0 and BigTIFF."""

from __future__ import annotations

import struct

import numpy as np

from landmark_ops.images import ifd, reasons
from landmark_ops.images.header import ImageHeader
from landmark_ops.images.orientation import ORIENTATION, valid, xmp_orientation
from landmark_ops.images.reasons import DecodeFailure

SUBFILE, WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC = 254, 256, 257, 258, 259, 262
SAMPLES, PLANAR, SAMPLE_FORMAT, XMP = 277, 284, 339, 700
#: Tags of where the pixels lie: strips or tiles, offsets and byte counts.
EXTENTS = ((273, 279), (324, 325))
TIFF_TAGS = {
    *(SUBFILE, WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC, SAMPLES, PLANAR, SAMPLE_FORMAT, XMP, ORIENTATION),
    *(tag for pair in EXTENTS for tag in pair),
}


def read_tiff(data: bytes) -> ImageHeader:
    """The first directory; TIFF 6.0 and BigTIFF. `kind` is the photometric interpretation."""
    layout = ifd.read_layout(data)
    assert layout is not None
    if layout.first >= len(data):
        raise struct.error
    tags = ifd.read_directory(data, layout.first, layout, TIFF_TAGS).tags
    if WIDTH not in tags or HEIGHT not in tags:
        raise DecodeFailure(reasons.DECODER_ERROR, "a TIFF whose first directory has no width or no height")
    first = {tag: int(values[0]) for tag, values in tags.items()}
    if first.get(SUBFILE, 0) & 1:
        raise DecodeFailure(
            reasons.UNSUPPORTED,
            "a TIFF that begins with a reduced copy of its picture, as camera raw files do: convert it first",
        )
    sample_format = first.get(SAMPLE_FORMAT, 1)
    bits = {int(b) for b in tags.get(BITS, [1])}
    samples = first.get(SAMPLES, 1)
    if sample_format not in (1, 4) or len(bits) != 1 or not bits <= {1, 2, 4, 8, 16}:
        raise DecodeFailure(
            reasons.UNSUPPORTED,
            f"TIFF samples of {sorted(bits)} bits in format {sample_format}: unsigned 1 to 16 bits are read",
        )
    if first.get(PLANAR, 1) == 2 and samples > 1 and bits == {16} and first.get(COMPRESSION, 1) == 1:
        raise DecodeFailure(  # Pillow 13 and OpenCV 5 both read them as other pictures
            reasons.UNSUPPORTED,
            "an uncompressed TIFF of 16-bit planes: store it compressed, or its samples interleaved",
        )
    xmp = tags[XMP].astype(np.uint8).tobytes() if XMP in tags else b""
    orientation = valid(first[ORIENTATION]) if ORIENTATION in first else xmp_orientation(xmp) or 1
    return ImageHeader(
        "tiff",
        first[WIDTH],
        first[HEIGHT],
        bits.pop(),
        samples,
        first.get(PHOTOMETRIC, 1),
        orientation,
        layout.first,
    )

"""Encoded bytes to one upright RGB array, or a DecodeFailure with a reason code; never half a picture.

    bytes → header (size, format) → pixel cap → stream (complete? one picture?) → decoder → upright, opaque, RGB uint8

JPEG, PNG and WebP are decoded by OpenCV (1.6 × as fast as Pillow on a 720p JPEG, the same pixels); what it does not
read rightly goes to Pillow: TIFF, BMP, GIF, AVIF, JPEG 2000, PNM, QOI, CMYK and YCCK JPEG.

Decisions: 16-bit samples become 8-bit by >> 8. Transparent pictures are laid over white, as a browser shows them:
what someone erased by making it transparent is not detected, though its colours are still in the file. Colour profiles
are ignored. A CMYK JPEG is inverted where it has an Adobe marker, and taken as it stands where it has none.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from landmark_ops.images import reasons
from landmark_ops.images.decoder_faults import failure_of
from landmark_ops.images.header import ImageHeader
from landmark_ops.images.headers import read_header
from landmark_ops.images.opencv_pictures import SCALED, opencv_decode
from landmark_ops.images.pillow_pictures import pillow_decode
from landmark_ops.images.pixels import turn_upright
from landmark_ops.images.reasons import DecodeFailure
from landmark_ops.images.streams import Stream, check_stream

__all__ = ["MAX_PIXELS", "DecodeFailure", "Decoded", "decode", "decode_examined", "examine"]

Image = NDArray[np.uint8]

MAX_PIXELS = 100_000_000


class Decoded(NamedTuple):
    """An upright picture.

    `image` is (H, W, 3) uint8 RGB, C-contiguous. `width` and `height` are those of the upright original. `scale` is
    image pixels per original pixel: 1, or 1/2, 1/4, 1/8 after a scaled decode, exactly, also where the last row and
    column were rounded up: the original's x lies at (x + ½) · scale - ½ of the image.
    """

    image: Image
    width: int
    height: int
    scale: float


def decode(data: bytes, *, max_pixels: int = MAX_PIXELS, min_side: int | None = None) -> Decoded:
    """Decode one picture in this process.

    `min_side` lets a JPEG be decoded at 1/2, 1/4 or 1/8 as long as its shorter side keeps that many pixels.
    Raises DecodeFailure and nothing else, whatever the bytes; but native code can still kill the process: see
    isolated.py for files one cannot trust.
    """
    header, stream = examine(data, max_pixels=max_pixels)
    return decode_examined(header, stream, min_side=min_side)


def examine(data: bytes, *, max_pixels: int = MAX_PIXELS) -> tuple[ImageHeader, Stream]:
    """All checks that need no decoder: header, pixel cap, completeness. Raises DecodeFailure."""
    data = bytes(data)  # no copy where it is bytes
    header = read_header(data)
    if header.width * header.height > max_pixels:
        raise DecodeFailure(
            reasons.TOO_LARGE,
            f"{header.width} × {header.height} pixels are more than {max_pixels}: raise max_pixels to read it",
        )
    return header, check_stream(data, header)


def decode_examined(header: ImageHeader, stream: Stream, *, min_side: int | None = None) -> Decoded:
    """Decode a picture that has passed `examine`. Raises DecodeFailure."""
    denominator = 1
    if header.format == "jpeg" and min_side is not None:
        shorter = min(header.width, header.height)
        denominator = max(d for d in SCALED if d == 1 or -(-shorter // d) >= min_side)
    try:
        if takes_pillow(header):
            image = pillow_decode(header, stream, denominator)
        else:
            image = opencv_decode(header, stream, denominator)
    except DecodeFailure:
        raise
    except MemoryError:
        raise DecodeFailure(reasons.TOO_LARGE, "more memory than there is to decode it") from None
    except Exception as error:  # Pillow's plugins raise nearly anything on hostile files
        raise failure_of(error) from None
    expected = (-(-header.height // denominator), -(-header.width // denominator), 3)
    if image.shape != expected:
        raise DecodeFailure(reasons.DECODER_ERROR, f"decoded to {image.shape}, the header says {expected}")
    image = turn_upright(image, stream.orientation)
    sides = (header.width, header.height) if stream.orientation < 5 else (header.height, header.width)
    return Decoded(image, *sides, 1 / denominator)


def takes_pillow(header: ImageHeader) -> bool:
    """Whether OpenCV reads this kind wrongly, or not at all."""
    return header.format not in ("jpeg", "png", "webp") or (header.format == "jpeg" and header.samples == 4)

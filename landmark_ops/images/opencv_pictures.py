"""JPEG, PNG and WebP decoded by OpenCV, whole or not at all."""

from __future__ import annotations

import itertools
import re

import cv2
import numpy as np

from landmark_ops.images import reasons
from landmark_ops.images.header import ImageHeader
from landmark_ops.images.pixels import Image, lay_over_white
from landmark_ops.images.reasons import DecodeFailure
from landmark_ops.images.streams import END_OF_JPEG, Stream

RGB = cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION
#: Flags by the denominator of a scaled JPEG decode; IMREAD_REDUCED_COLOR_n holds the bit that means BGR.
SCALED = {
    1: RGB,
    2: cv2.IMREAD_REDUCED_COLOR_2 & ~cv2.IMREAD_COLOR | RGB,
    4: cv2.IMREAD_REDUCED_COLOR_4 & ~cv2.IMREAD_COLOR | RGB,
    8: cv2.IMREAD_REDUCED_COLOR_8 & ~cv2.IMREAD_COLOR | RGB,
}
STORED = cv2.IMREAD_UNCHANGED  # all channels and bits; ignores the orientation too
#: A JPEG marker inside or after the entropy-coded data: 0xFF not followed by a stuffed zero or a restart number.
MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
FILLER = bytes(range(1, 255)) * 64


def opencv_decode(header: ImageHeader, stream: Stream, denominator: int) -> Image:
    """Decode to (h, w, 3) RGB as stored, not yet upright."""
    buffer = np.frombuffer(stream.payload, np.uint8)
    whole = stream.alpha or stream.clear is not None
    decoded = cv2.imdecode(buffer, STORED if whole else SCALED[denominator])
    if decoded is None:
        raise DecodeFailure(reasons.DECODER_ERROR, f"corrupt {header.format.upper()} data")
    # of a 16-bit sample the high byte
    high = np.right_shift(decoded, 8, dtype=np.uint16) if decoded.dtype == np.uint16 else decoded
    pixels = np.asarray(high, np.uint8)
    if stream.clear is not None:
        gray = np.where(decoded == stream.clear, np.uint8(255), pixels)
        return np.asarray(cv2.cvtColor(gray, cv2.COLOR_GRAY2RGB), np.uint8)
    if header.format == "jpeg" and ends_early(pixels, stream.payload, header.start, denominator):
        raise DecodeFailure(reasons.TRUNCATED, "the JPEG data ends before its last rows, which would come out gray")
    if not stream.alpha:
        return pixels
    if pixels.ndim == 2 or pixels.shape[2] == 3:  # a format's header may announce an alpha that is not there
        return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_GRAY2RGB if pixels.ndim == 2 else cv2.COLOR_BGR2RGB))
    return lay_over_white(np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGRA2RGBA), np.uint8))


def ends_early(pixels: Image, data: bytes, start: int, denominator: int) -> bool:
    """Whether the entropy-coded data stopped before the end marker, which libjpeg silently fills with mid-gray.

    Only pictures whose last block is exactly mid-gray are suspected, and decoded once more with filler bytes before
    the end marker: a complete picture never reads them, a picture cut short turns them into blocks.
    """
    size = 8 // denominator
    rows, columns = ((n - 1) // size * size if denominator == 1 else max(n - 8, 0) for n in pixels.shape[:2])
    if (pixels[rows:, columns:] != 128).any():
        return False
    ends = (marker.start() for marker in MARKER.finditer(data, start) if marker[0] == END_OF_JPEG)
    end = next(itertools.islice(ends, 1), len(data))
    filled = np.frombuffer(data[:end] + FILLER + data[end:], np.uint8)
    again = cv2.imdecode(filled, SCALED[denominator])
    return again is None or not np.array_equal(again, pixels)

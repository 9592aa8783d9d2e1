"""Format and size of an encoded picture, as its first bytes tell them."""

from __future__ import annotations

from typing import Literal, NamedTuple

Format = Literal["jpeg", "png", "webp", "bmp", "tiff", "gif", "avif", "jpeg2000", "pnm", "qoi"]

#: A file of more segments, directories or chunks than this is made to be slow to walk.
MAX_SEGMENTS = 10_000


class ImageHeader(NamedTuple):
    """Format and size as stored, before any EXIF rotation.

    `bits` per sample and `samples` per pixel are 0 where the format's header does not tell (WebP, GIF).
    `kind` is the format's own sub-type: the JPEG SOF marker, the PNG colour type, the BMP compression, the PNM number.
    `orientation` is the one told where the size is (JPEG, TIFF, AVIF), else 1.
    `start` is where the walk through the rest begins, 0 where the file ended first; `adobe` is the transform of a JPEG
    Adobe marker or -1.
    """

    format: Format
    width: int
    height: int
    bits: int = 8
    samples: int = 3
    kind: int = 0
    orientation: int = 1
    start: int = 0
    adobe: int = -1

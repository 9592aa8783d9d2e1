"""The header of a JPEG file; ITU-T T.81, annex B."""

from __future__ import annotations

import re
import struct

from landmark_ops.images import reasons
from landmark_ops.images.header import MAX_SEGMENTS, ImageHeader
from landmark_ops.images.orientation import XMP_OF_JPEG, exif_orientation, xmp_orientation
from landmark_ops.images.reasons import DecodeFailure

#: Fill bytes, then a marker that is no stuffed zero.
JPEG_MARKER = re.compile(rb"\xff+[^\x00\xff]", re.DOTALL)


def read_jpeg(data: bytes) -> ImageHeader:
    """Walk the segments up to the first scan; ITU-T T.81, annex B. Stray bytes between them are passed over."""
    at, frame, orientation, xmp, adobe = 2, None, None, None, -1
    for _ in range(MAX_SEGMENTS):
        found = JPEG_MARKER.search(data, at)
        if found is None or found.end() + 2 > len(data):
            break
        at, marker = found.end(), data[found.end() - 1]
        if marker == 0x01 or 0xD0 <= marker <= 0xD7:  # these stand alone
            continue
        if marker == 0xD8:
            raise DecodeFailure(reasons.DECODER_ERROR, f"a second JPEG begins at byte {at - 2}, inside the header")
        if marker == 0xD9:
            break
        (length,) = struct.unpack_from(">H", data, at)
        body, at = at + 2, at + length
        if length < 2:
            raise DecodeFailure(reasons.DECODER_ERROR, f"a JPEG segment of length {length}, at least 2 is needed")
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC) and frame is None:
            frame = (marker, *struct.unpack_from(">BHHB", data, body))
        elif marker == 0xE1 and orientation is None and data[body : body + 6] == b"Exif\0\0":
            orientation = exif_orientation(data[body:at])
        elif marker == 0xE1 and xmp is None and data.startswith(XMP_OF_JPEG, body):
            xmp = xmp_orientation(data[body:at])
        elif marker == 0xEE and data[body : body + 5] == b"Adobe" and length >= 14:
            adobe = data[body + 11] if body + 11 < len(data) else -1
        elif marker == 0xDA:
            if frame is None:
                raise DecodeFailure(reasons.DECODER_ERROR, "a JPEG scan before any frame header")
            return jpeg_header(frame, orientation or xmp, at, adobe)
    else:
        raise DecodeFailure(reasons.UNSUPPORTED, f"more than {MAX_SEGMENTS} JPEG segments before the picture")
    if frame is None:
        raise DecodeFailure(reasons.TRUNCATED, f"the JPEG ends at byte {len(data)}, before its frame header")
    return jpeg_header(frame, orientation or xmp, 0, adobe)


def jpeg_header(frame: tuple[int, ...], orientation: int | None, start: int, adobe: int) -> ImageHeader:
    """The header of a JPEG from its frame fields (marker, precision, height, width, components)."""
    marker, bits, height, width, components = frame
    if marker not in (0xC0, 0xC1, 0xC2, 0xC9, 0xCA) or bits != 8 or components not in (1, 3, 4) or not height:
        raise DecodeFailure(
            reasons.UNSUPPORTED,
            f"JPEG process SOF{marker - 0xC0} with {components} components of {bits} bits and {height} lines: "
            "8-bit baseline, extended and progressive are read",
        )
    return ImageHeader("jpeg", width, height, bits, components, marker, orientation or 1, start, adobe)

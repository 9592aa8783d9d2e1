"""Which way up a picture is, from the metadata that may say so: EXIF blocks, PNG text that carries one, XMP.

The first of EXIF and XMP that says anything counts, in this order, as Pillow's `exif_transpose` takes them. A picture
with a broken block is taken as stored, as viewers show it.
"""

from __future__ import annotations

import re
import zlib

from landmark_ops.images import ifd

ORIENTATION = 0x0112
XMP_OF_JPEG = b"http://ns.adobe.com/xap/1.0/\0"
MAX_TEXT_BYTES = 1 << 20  # of an inflated text chunk: an orientation lies near the start of its block
_XMP = re.compile(rb'tiff:Orientation(?:="|>)([0-9])')
_PROFILE = b"Raw profile type exif"
_XMP_KEY = b"XML:com.adobe.xmp"


def valid(value: int) -> int:
    """The orientation, 1 to 8; 1 for a number that is none."""
    return value if 1 <= value <= 8 else 1


def exif_orientation(block: bytes) -> int | None:
    """The orientation, 1 to 8, of an EXIF block with or without its "Exif" prefix; None where it says nothing."""
    block = block.removeprefix(b"Exif\0\0")
    try:
        layout = ifd.read_layout(block)
        if layout is None:
            return None
        found = ifd.read_directory(block, layout.first, layout, (ORIENTATION,)).tags.get(ORIENTATION)
    except ifd.UNREADABLE:
        return None
    return None if found is None else valid(int(found[0]))


def xmp_orientation(packet: bytes) -> int | None:
    """The orientation that an XMP packet names, None where it names none."""
    found = _XMP.search(packet)
    return None if found is None else valid(int(found[1]))


def text_orientation(name: bytes, body: bytes) -> tuple[int | None, int | None]:
    """What a PNG text chunk says: by an EXIF profile, as ImageMagick writes it, and by XMP. At most 1 MiB is read.

    `name`: tEXt, zTXt or iTXt. PNG third edition, 11.3.3.
    """
    key, _, text = body.partition(b"\0")
    if key not in (_PROFILE, _XMP_KEY):
        return None, None
    if name == b"zTXt":
        text = _inflated(text[1:])
    elif name == b"iTXt":
        packed, rest = text[:1] == b"\1", text[2:].split(b"\0", 2)
        text = _inflated(rest[-1]) if packed else rest[-1]
    text = text[:MAX_TEXT_BYTES]
    if key == _XMP_KEY:
        return None, xmp_orientation(text)
    try:  # a line "exif", a line with the length, then hexadecimal digits
        return exif_orientation(bytes.fromhex(b"".join(text.split(b"\n")[3:]).decode("ascii"))), None
    except ValueError:
        return None, None


def _inflated(data: bytes) -> bytes:
    try:
        return zlib.decompressobj().decompress(data, MAX_TEXT_BYTES)
    except zlib.error:
        return b""

"""Whether the rest of a file is there, is one picture, and is safe to hand to a decoder.

Decoders disagree on files that stop early: some fill the missing rows with gray. So the end is looked for here, per
format: the JPEG end marker, the PNG chunks, the RIFF length, the strips of a TIFF. PNG text, colour profiles and other
ancillary chunks are cut out, so that a compressed text of gigabytes is never inflated: what a text says of the
orientation is looked for in its first megabyte. Nothing is decoded.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

import numpy as np

from landmark_ops.images import ifd, reasons, tiff
from landmark_ops.images.header import MAX_SEGMENTS, ImageHeader
from landmark_ops.images.jpeg2000 import is_whole
from landmark_ops.images.orientation import exif_orientation, text_orientation, xmp_orientation
from landmark_ops.images.pnm import MAX_HEADER, read_pnm
from landmark_ops.images.reasons import DecodeFailure

END_OF_JPEG = b"\xff\xd9"
#: Each scan of a progressive JPEG costs a pass over the whole picture; encoders write about ten.
MAX_SCANS = 100
MAX_CHUNKS = 200_000
#: Deflate cannot do better: a picture that needs more than this per compressed byte is not all there.
DEFLATE_RATIO = 1032
PNG_TEXT = (b"tEXt", b"zTXt", b"iTXt")
PNG_CRITICAL = (b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS")


class Stream(NamedTuple):
    """A complete, single picture: the bytes to decode and how.

    `common` tells formats whose decoders run in this process from the rare ones (see isolated.py). `clear` is the level
    of a gray PNG that counts as transparent, in units of the decoded samples (8 or 16 bits).
    """

    payload: bytes
    orientation: int
    alpha: bool
    common: bool
    clear: int | None = None


def check_stream(data: bytes, header: ImageHeader) -> Stream:
    """Walk a file to its end. Raises DecodeFailure: truncated, animated, unsupported, decoder_error."""
    try:
        if header.format == "jpeg":
            return check_jpeg(data, header)
        if header.format == "png":
            return check_png(data, header)
        if header.format == "webp":
            return check_webp(data, header)
        if header.format == "tiff":
            return check_tiff(data, header)
        if header.format == "gif":
            return check_gif(data, header)
        if header.format == "bmp":
            return check_bmp(data, header)
        if header.format == "pnm":
            return check_pnm(data, header)
        return check_other(data, header)
    except ifd.UNREADABLE:
        raise cut_off(header, f"it ends at byte {len(data)}") from None


def cut_off(header: ImageHeader, how: str) -> DecodeFailure:
    """The failure for a file that stops early."""
    return DecodeFailure(reasons.TRUNCATED, f"a {header.format.upper()} of {header.width} × {header.height}: {how}")


def check_jpeg(data: bytes, header: ImageHeader) -> Stream:
    """The end marker has to follow the first scan; thumbnails with an end marker of their own come before it."""
    if not header.start or (not data.endswith(END_OF_JPEG) and data.find(END_OF_JPEG, header.start) < 0):
        raise cut_off(header, f"no end marker in {len(data)} bytes")
    common = header.samples in (1, 3) and header.kind in (0xC0, 0xC1, 0xC2)
    if header.kind == 0xC2:
        common = common and data.count(b"\xff\xda", header.start) < MAX_SCANS
    return Stream(data, header.orientation, False, common)


def check_png(data: bytes, header: ImageHeader) -> Stream:
    """Walk the chunks, keep those that make up the pixels; PNG third edition."""
    at, kept_from = header.start, 0
    orientation: int | None = None
    told: tuple[int | None, int | None] = (None, None)  # by text chunks: EXIF, XMP
    alpha, compressed = header.kind in (4, 6), 0
    kept: list[bytes] = []
    clear: int | None = None
    for _ in range(MAX_CHUNKS):
        length, name = struct.unpack_from(">I4s", data, at)
        after = at + 12 + length
        if after > len(data):
            raise cut_off(header, f"it ends at byte {len(data)}, inside a chunk that goes on to {after}")
        if name == b"IDAT":
            compressed += length
        elif name == b"IEND":
            break
        elif name == b"tRNS" and header.kind == 0:  # left out: OpenCV drops it, Pillow takes 2 bits for 8
            level = int.from_bytes(data[at + 8 : at + 10], "big") & (1 << header.bits) - 1
            clear = level if header.bits >= 8 else level * 255 // ((1 << header.bits) - 1)
        elif name == b"tRNS":
            alpha = True
        elif name == b"acTL" and length >= 4 and struct.unpack_from(">I", data, at + 8)[0] > 1:
            raise DecodeFailure(reasons.ANIMATED, "an animated PNG")
        elif name == b"eXIf":
            orientation = exif_orientation(data[at + 8 : at + 8 + length])
        elif name in PNG_TEXT:
            said = text_orientation(name, data[at + 8 : at + 8 + length])
            told = (told[0] or said[0], told[1] or said[1])
        if name not in PNG_CRITICAL or (name == b"tRNS" and header.kind == 0):
            if not name[0] & 0x20:
                raise DecodeFailure(reasons.UNSUPPORTED, "a PNG with an unknown critical chunk")
            kept.append(data[kept_from:at])
            kept_from = after
        at = after
    else:
        raise DecodeFailure(reasons.UNSUPPORTED, f"a PNG of more than {MAX_CHUNKS} chunks")
    needed = header.height * (1 + header.width * header.samples * header.bits // 8)
    if needed > DEFLATE_RATIO * (compressed + 16):
        raise cut_off(header, f"{compressed} compressed bytes cannot hold {needed} bytes of pixels")
    payload = b"".join([*kept, data[kept_from:after]]) if kept else data
    return Stream(payload, orientation or told[0] or told[1] or 1, alpha, True, clear)


def check_webp(data: bytes, header: ImageHeader) -> Stream:
    """The RIFF length, then the chunks for EXIF; `kind` holds the flags of the extended header."""
    (length,) = struct.unpack_from("<I", data, 4)
    if length + 8 > len(data):
        raise cut_off(header, f"{len(data)} bytes of {length + 8}")
    if header.kind & 0x02:
        raise DecodeFailure(reasons.ANIMATED, "an animated WebP")
    orientation = xmp = None
    at, end = header.start, min(len(data), length + 8)
    if header.kind & 0x0C:  # EXIF or XMP
        for _ in range(MAX_SEGMENTS):
            if at + 8 > end:
                break
            name, size = struct.unpack_from("<4sI", data, at)
            if name == b"EXIF":
                orientation = exif_orientation(data[at + 8 : at + 8 + size])
            elif name == b"XMP ":
                xmp = xmp_orientation(data[at + 8 : at + 8 + size])
            at += 8 + size + (size & 1)
    return Stream(data, orientation or xmp or 1, bool(header.kind & 0x10), True)


def check_tiff(data: bytes, header: ImageHeader) -> Stream:
    """One page whose strips or tiles lie inside the file; reduced copies and masks beside it do not count."""
    layout = ifd.read_layout(data)
    assert layout is not None
    seen, at, pages = set[int](), layout.first, 0
    while at and at not in seen and len(seen) < MAX_SEGMENTS:
        seen.add(at)
        tags, following = ifd.read_directory(data, at, layout, tiff.TIFF_TAGS)
        if len(seen) == 1 or not int(tags.get(tiff.SUBFILE, [0])[0]) & 0b101:
            pages += 1
        if pages > 1:
            raise DecodeFailure(reasons.ANIMATED, "a TIFF of several pages: split it into one file per page")
        if len(seen) == 1:
            for offsets, counts in tiff.EXTENTS:
                if offsets in tags and counts in tags and len(tags[offsets]) == len(tags[counts]):
                    end = (tags[offsets].astype(np.float64) + tags[counts]).max()  # integers could wrap around
                    if end > len(data):
                        raise cut_off(header, f"{len(data)} bytes, and pixels up to byte {end:.0f}")
        at = following
    return Stream(data, header.orientation, header.samples in (2, 4), False)


def check_gif(data: bytes, header: ImageHeader) -> Stream:
    """Count the pictures between header and trailer, two are an animation; GIF89a."""
    at, pictures = header.start, 0
    if data[10] & 0x80:
        at += 3 << (data[10] & 7) + 1
    while data[at] != 0x3B:
        block = data[at]
        if block == 0x2C:
            pictures += 1
            if pictures > 1:
                raise DecodeFailure(reasons.ANIMATED, "an animated GIF")
            packed = data[at + 9]
            at += 11 + (3 << (packed & 7) + 1 if packed & 0x80 else 0)
        elif block == 0x21:
            at += 2
        else:
            raise DecodeFailure(reasons.DECODER_ERROR, f"no GIF block begins at byte {at}")
        while data[at]:
            at += data[at] + 1
        at += 1
    return Stream(data, 1, True, False)


def check_bmp(data: bytes, header: ImageHeader) -> Stream:
    """Uncompressed rows, padded to four bytes, have a known end."""
    if header.kind in (0, 3, 6):
        end = header.start + (header.width * header.bits + 31) // 32 * 4 * header.height
        if end > len(data):
            raise cut_off(header, f"{len(data)} bytes of {end}")
    elif header.kind not in (1, 2):
        raise DecodeFailure(reasons.UNSUPPORTED, f"BMP compression {header.kind}")
    return Stream(data, 1, False, False)


def check_pnm(data: bytes, header: ImageHeader) -> Stream:
    """Raw rows have a known end; another picture may follow them."""
    if header.kind >= 4:
        row = (header.width + 7) // 8 if header.kind == 4 else header.width * header.samples * (header.bits // 8)
        end = header.start + row * header.height
        if end > len(data):
            raise cut_off(header, f"{len(data)} bytes of {end}")
        if read_pnm(data[end : end + MAX_HEADER].lstrip()):
            raise DecodeFailure(reasons.ANIMATED, "a PNM file of several pictures: split it into one file per picture")
    return Stream(data, 1, False, False)


def check_other(data: bytes, header: ImageHeader) -> Stream:
    """AVIF, JPEG 2000 and QOI: their decoders see for themselves that the end is there, but for a JPEG 2000's."""
    if header.format == "avif" and header.kind:
        raise DecodeFailure(reasons.ANIMATED, "an AVIF sequence")
    if header.format == "jpeg2000" and not is_whole(data, header.start):
        raise cut_off(header, f"no end marker in {len(data)} bytes")
    return Stream(data, header.orientation, False, False)

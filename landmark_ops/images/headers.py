"""What a file says it is before anything decodes it: format and size, from the first bytes, by our own small parsers.

Decoders allocate what a header asks for, so the pixel cap is applied to these numbers first. Nothing is inflated and
no pixel is read here; whether the rest of the file is there and fit to decode is the next step, in streams.py.
"""

from __future__ import annotations

import re
import struct
from typing import Literal, NamedTuple

import numpy as np

from landmark_ops.images import ifd, reasons
from landmark_ops.images.avif import is_avif, read_avif
from landmark_ops.images.jpeg2000 import CODESTREAM, JP2, read_size
from landmark_ops.images.orientation import (
    ORIENTATION,
    XMP_OF_JPEG,
    exif_orientation,
    valid,
    xmp_orientation,
)
from landmark_ops.images.pnm import read_pnm
from landmark_ops.images.reasons import DecodeFailure

Format = Literal["jpeg", "png", "webp", "bmp", "tiff", "gif", "avif", "jpeg2000", "pnm", "qoi"]

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
#: Fill bytes, then a marker that is no stuffed zero.
JPEG_MARKER = re.compile(rb"\xff+[^\x00\xff]", re.DOTALL)
#: A file of more segments, directories or chunks than this is made to be slow to walk.
MAX_SEGMENTS = 10_000

#: Lengths of the BMP headers there are: two letters alone are no magic, and text may begin with them.
DIB_SIZES = (12, 40, 52, 56, 64, 108, 124)

#: Picture and document formats that are not read here, by their first bytes (at an offset).
OTHERS: tuple[tuple[int, bytes, str], ...] = (
    (0, b"\xff\x0a", "JPEG XL"),
    (0, b"\0\0\0\x0cJXL \r\n\x87\n", "JPEG XL"),
    (4, b"ftyphei", "HEIC"),
    (4, b"ftyphev", "HEIC"),
    (4, b"ftypmif1", "HEIF"),
    (4, b"ftypmsf1", "HEIF"),
    (0, b"8BPS", "Photoshop"),
    (0, b"\0\0\1\0", "ICO"),
    (0, b"P7\n", "PAM"),
    (0, b"PF\n", "PFM"),
    (0, b"Pf\n", "PFM"),
    (0, b"DDS ", "DDS"),
    (0, b"\x59\xa6\x6a\x95", "Sun raster"),
    (0, b"\x01\xda\0", "SGI"),
    (0, b"\x01\xda\1", "SGI"),
    (0, b"FUJIFILMCCD-RAW", "camera raw"),
    (4, b"ftypcrx", "camera raw"),
    (4, b"ftypqt", "QuickTime video"),
    (4, b"ftypisom", "MP4 video"),
    (4, b"ftypmp4", "MP4 video"),
    (0, b"\x76\x2f\x31\x01", "OpenEXR"),
    (0, b"#?RADIANCE", "Radiance HDR"),
    (0, b"#?RGBE", "Radiance HDR"),
    (0, b"%!PS", "PostScript"),
    (128, b"DICM", "DICOM"),
    (0, b"%PDF-", "PDF"),
    (0, b"<svg", "SVG"),
)

#: Text that stands where a picture should: a pointer to it, or its bytes in base64 (of JPEG, PNG, WebP and GIF).
LFS = b"version https://git-lfs.github.com/spec/"
BASE64 = (b"data:image/", b"/9j/", b"iVBORw0KGgo", b"UklGR", b"R0lGOD")


class Header(NamedTuple):
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


def read_header(data: bytes) -> Header:
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
            header = Header("gif", width, height, 0, 0, start=13)
        elif data[:2] == b"BM" and (len(data) < 18 or struct.unpack_from("<I", data, 14)[0] in DIB_SIZES):
            header = read_bmp(data)
        elif data[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
            header = read_tiff(data)
        elif is_avif(data):
            header = Header("avif", **read_avif(data)._asdict())
        elif data.startswith((JP2, CODESTREAM)):
            size = read_size(data)
            header = Header("jpeg2000", size.width, size.height, size.bits, size.samples, start=size.start)
        elif pnm := read_pnm(data):
            header = Header("pnm", pnm.width, pnm.height, pnm.bits, pnm.samples, pnm.kind, start=pnm.start)
        elif data[:4] == b"qoif":
            width, height, samples = struct.unpack_from(">IIB", data, 4)
            header = Header("qoi", width, height, 8, samples, start=14)
        else:
            raise unknown(data)
    except ifd.UNREADABLE:
        raise DecodeFailure(reasons.TRUNCATED, f"the header is cut off: {len(data)} bytes") from None
    if header.width == 0 or header.height == 0:
        raise DecodeFailure(reasons.DECODER_ERROR, f"the header asks for {header.width} × {header.height} pixels")
    return header


def unknown(data: bytes) -> DecodeFailure:
    """The failure for bytes that begin like none of the formats read here."""
    for at, magic, name in OTHERS:
        if data[at : at + len(magic)] == magic:
            return DecodeFailure(reasons.UNSUPPORTED, f"{name} files are not read: convert to JPEG, PNG, WebP or TIFF")
    whole = (b"\xff\xd8\xff", PNG_SIGNATURE, b"RIFF", b"GIF89a", b"II*\0", b"MM\0*")
    if any(len(data) < len(magic) and magic.startswith(data) for magic in whole):
        return DecodeFailure(reasons.TRUNCATED, f"the header is cut off: {len(data)} bytes")
    if data.startswith(LFS):
        return DecodeFailure(reasons.NOT_AN_IMAGE, "a Git LFS pointer in the picture's place: git lfs pull brings it")
    if not any(data[:4096]):
        return DecodeFailure(reasons.NOT_AN_IMAGE, f"{len(data)} bytes that begin with zeros: never written?")
    if data.startswith(BASE64) and data[:512].isascii():
        return DecodeFailure(reasons.NOT_AN_IMAGE, "base64 text of a picture: store the decoded bytes")
    start = data[:512].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if start.startswith(b"<?xml") and b"<svg" in start:
        return DecodeFailure(reasons.UNSUPPORTED, "SVG files are not read: convert to JPEG, PNG, WebP or TIFF")
    if start.startswith((b"<!doctype", b"<html", b"<head", b"<?xml", b"<body", b"{", b"[")):
        return DecodeFailure(reasons.NOT_AN_IMAGE, "HTML, XML or JSON text: an error page saved as a picture?")
    return DecodeFailure(reasons.NOT_AN_IMAGE, f"{len(data)} bytes that begin like no picture format")


def read_jpeg(data: bytes) -> Header:
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


def jpeg_header(frame: tuple[int, ...], orientation: int | None, start: int, adobe: int) -> Header:
    """The header of a JPEG from its frame fields (marker, precision, height, width, components)."""
    marker, bits, height, width, components = frame
    if marker not in (0xC0, 0xC1, 0xC2, 0xC9, 0xCA) or bits != 8 or components not in (1, 3, 4) or not height:
        raise DecodeFailure(
            reasons.UNSUPPORTED,
            f"JPEG process SOF{marker - 0xC0} with {components} components of {bits} bits and {height} lines: "
            "8-bit baseline, extended and progressive are read",
        )
    return Header("jpeg", width, height, bits, components, marker, orientation or 1, start, adobe)


def read_png(data: bytes) -> Header:
    """IHDR, which has to be the first chunk."""
    length, name, width, height, bits, colour = struct.unpack_from(">I4sIIBB", data, 8)
    if name != b"IHDR" or length != 13:
        known = b"CgBI" if name == b"CgBI" else b"none"
        raise DecodeFailure(reasons.DECODER_ERROR, f"a PNG without IHDR as its first chunk ({known.decode()} there)")
    samples = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}.get(colour)
    if samples is None or bits not in (1, 2, 4, 8, 16):
        raise DecodeFailure(reasons.DECODER_ERROR, f"PNG colour type {colour} with {bits} bits does not exist")
    return Header("png", width, height, bits, samples, colour, start=33)


def read_webp(data: bytes) -> Header:
    """The first chunk: lossy frame, lossless frame or extended header; RFC 9649."""
    name = data[12:16]
    if name == b"VP8X":
        flags, low = struct.unpack_from("<BxxxI", data, 20)
        width = (low & 0xFFFFFF) + 1
        height = int.from_bytes(data[27:30], "little") + 1
        if len(data) < 30:
            raise struct.error
        return Header("webp", width, height, 0, 0, kind=flags, start=12)
    if name == b"VP8L":
        signature, packed = struct.unpack_from("<BI", data, 20)
        if signature != 0x2F:
            raise DecodeFailure(reasons.DECODER_ERROR, "a lossless WebP without its signature byte")
        alpha = packed >> 28 & 1
        return Header("webp", (packed & 0x3FFF) + 1, (packed >> 14 & 0x3FFF) + 1, 0, 0, alpha << 4, start=12)
    if name == b"VP8 ":
        code, width, height = struct.unpack_from("<xxx3sHH", data, 20)
        if code != b"\x9d\x01\x2a":
            raise DecodeFailure(reasons.DECODER_ERROR, "a lossy WebP that does not begin with a key frame")
        return Header("webp", width & 0x3FFF, height & 0x3FFF, 0, 0, start=12)
    if len(data) < 16:
        raise struct.error
    raise DecodeFailure(reasons.UNSUPPORTED, "a WebP whose first chunk is none of VP8, VP8L and VP8X")


def read_bmp(data: bytes) -> Header:
    """The DIB header: 16-bit sizes in the OS/2 one, signed 32-bit sizes (negative height: top down) in all others."""
    start, size = struct.unpack_from("<II", data, 10)
    if size == 12:
        width, height, bits = struct.unpack_from("<HHxxH", data, 18)
        return Header("bmp", width, height, bits, 1, start=start)
    width, height, bits, compression = struct.unpack_from("<iixxHI", data, 18)
    if width < 0:
        raise DecodeFailure(reasons.DECODER_ERROR, f"the header asks for {width} × {height} pixels")
    return Header("bmp", width, abs(height), bits, 1, compression, start=start)


def read_tiff(data: bytes) -> Header:
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
    return Header(
        "tiff",
        first[WIDTH],
        first[HEIGHT],
        bits.pop(),
        samples,
        first.get(PHOTOMETRIC, 1),
        orientation,
        layout.first,
    )


SUBFILE, WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC = 254, 256, 257, 258, 259, 262
SAMPLES, PLANAR, SAMPLE_FORMAT, XMP = 277, 284, 339, 700
#: Tags of where the pixels lie: strips or tiles, offsets and byte counts.
EXTENTS = ((273, 279), (324, 325))
TIFF_TAGS = {
    *(SUBFILE, WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC, SAMPLES, PLANAR, SAMPLE_FORMAT, XMP, ORIENTATION),
    *(tag for pair in EXTENTS for tag in pair),
}

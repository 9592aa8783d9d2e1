"""Names, for messages, of formats that are not read here, by how their bytes begin."""

from __future__ import annotations

from landmark_ops.images import reasons
from landmark_ops.images.png import PNG_SIGNATURE
from landmark_ops.images.reasons import DecodeFailure

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

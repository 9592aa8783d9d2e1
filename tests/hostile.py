"""A folder of files that break decoders, and of odd ones that must not be refused, all generated here.

`hostile_files()` maps each name to its bytes and the reason code it must fail with, or None where it must decode.
"""

from __future__ import annotations

import gzip
import io
import struct
import zipfile
import zlib
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from landmark_ops.images import reasons

Files = dict[str, tuple[bytes, str | None]]
WIDTH, HEIGHT = 64, 48
ORIENTATION = 0x0112


def reference(height: int = HEIGHT, width: int = WIDTH) -> NDArray[np.uint8]:
    """A smooth RGB picture without any symmetry."""
    y, x = np.mgrid[:height, :width] / [[[height]], [[width]]]
    bands = [40 + 180 * x, 30 + 120 * y + 60 * x * x, 200 - 150 * x * y + 20 * np.sin(5 * y)]
    return np.stack(bands, axis=-1).astype(np.uint8)


def stored(picture: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:
    """How a camera stores an upright picture under an EXIF orientation, from the definitions of EXIF 2.3, 4.6.4."""
    # where the stored row 0 and column 0 lie in the upright picture
    turned = {
        1: picture,  # top, left
        2: picture[:, ::-1],  # top, right
        3: picture[::-1, ::-1],  # bottom, right
        4: picture[::-1],  # bottom, left
        5: picture.transpose(1, 0, 2),  # left, top
        6: picture[:, ::-1].transpose(1, 0, 2),  # right, top
        7: picture[::-1, ::-1].transpose(1, 0, 2),  # right, bottom
        8: picture[::-1].transpose(1, 0, 2),  # left, bottom
    }
    return np.ascontiguousarray(turned[orientation])


def save(picture: NDArray[np.generic] | Image.Image, format: str, **options: object) -> bytes:
    """Encode by Pillow."""
    image = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    file = io.BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


def exif(orientation: int) -> bytes:
    block = Image.Exif()
    block[ORIENTATION] = orientation
    return block.tobytes()


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(width: int, height: int, bits: int, colour: int, *chunks: bytes, interlace: int = 0) -> bytes:
    """A PNG of any header and chunks; IEND is added."""
    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, interlace)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + b"".join(chunks) + chunk(b"IEND", b"")


def pixels_chunk(picture: NDArray[np.generic]) -> bytes:
    """IDAT of unfiltered rows; 16-bit samples big-endian."""
    rows = picture.astype(picture.dtype.newbyteorder(">")).reshape(len(picture), -1).view(np.uint8)
    return chunk(b"IDAT", zlib.compress(np.pad(rows, ((0, 0), (1, 0))).tobytes()))


def interlaced(picture: NDArray[np.uint8]) -> bytes:
    """Adam7."""
    passes = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)]
    rows = [picture[y::dy, x::dx] for y, x, dy, dx in passes]
    data = b"".join(b"\0" + np.ascontiguousarray(row).tobytes() for part in rows if part.shape[1] for row in part)
    return png(picture.shape[1], picture.shape[0], 8, 2, chunk(b"IDAT", zlib.compress(data)), interlace=1)


def ycck(picture: NDArray[np.uint8]) -> bytes:
    """An Adobe YCCK JPEG: YCbCr of the (inverted) inks, with the marker's transform set to 2."""
    inks = np.asarray(Image.fromarray(picture).convert("CMYK"))
    planes = np.asarray(Image.fromarray(inks[..., :3]).convert("YCbCr"))
    # Pillow stores 255 - value of what it is given; libjpeg reads C = 255 - R(YCbCr) of what is stored
    given = np.dstack([255 - planes, inks[..., 3:]])
    data = bytearray(save(Image.fromarray(given, "CMYK"), "JPEG", quality=100, subsampling=0))
    data[data.index(b"Adobe") + 11] = 2
    return bytes(data)


def without_adobe(data: bytes) -> bytes:
    """A JPEG without its APP14 segment."""
    at = data.index(b"\xff\xee")
    return data[:at] + data[at + 2 + struct.unpack_from(">H", data, at + 2)[0] :]


def with_segment(data: bytes, marker: int, body: bytes) -> bytes:
    """A JPEG with one more segment after its first marker."""
    return data[:2] + bytes([0xFF, marker]) + struct.pack(">H", len(body) + 2) + body + data[2:]


def resized_frame(data: bytes, width: int, height: int, *, marker: int = 0xC0, bits: int = 8) -> bytes:
    """A baseline JPEG whose frame header says otherwise."""
    at = data.index(b"\xff\xc0")
    return (
        data[:at]
        + bytes([0xFF, marker, *data[at + 2 : at + 4], bits])
        + struct.pack(">HH", height, width)
        + data[at + 9 :]
    )


@cache
def hostile_files() -> Files:
    """Name to (bytes, reason code or None)."""
    return {**not_images(), **jpegs(), **pngs(), **others(), **odd_but_good()}


def not_images() -> Files:
    zipped = io.BytesIO()
    with zipfile.ZipFile(zipped, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.jpg", bytes(10 << 20))
    html = b"<!DOCTYPE html>\n<html><head><title>404 Not Found</title></head></html>"
    denied = b'<?xml version="1.0" encoding="UTF-8"?><Error><Code>AccessDenied</Code></Error>'
    noise = np.random.default_rng(5).integers(0, 255, 5000, np.uint8).tobytes()
    return {
        "empty.jpg": (b"", reasons.EMPTY),
        "html.jpg": (html, reasons.NOT_AN_IMAGE),
        "denied.png": (denied, reasons.NOT_AN_IMAGE),
        "json.webp": (b'{"error": "rate limited"}', reasons.NOT_AN_IMAGE),
        "text.bmp": (b"Buy more milk", reasons.NOT_AN_IMAGE),
        "bm-text.bmp": (b"BMW 320d, 2009, one owner, " * 3, reasons.NOT_AN_IMAGE),
        "zeros.jpg": (bytes(4096), reasons.NOT_AN_IMAGE),
        "noise.jpg": (b"\0" + noise, reasons.NOT_AN_IMAGE),
        "gzip-bomb.jpg": (gzip.compress(bytes(20 << 20)), reasons.NOT_AN_IMAGE),
        "zip-bomb.png": (zipped.getvalue(), reasons.NOT_AN_IMAGE),
        "heic.jpg": (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(64), reasons.UNSUPPORTED),
        "hollow-avif.jpg": (b"\0\0\0\x1cftypavif" + bytes(64), reasons.DECODER_ERROR),
        "drawing.svg": (b'<svg xmlns="http://www.w3.org/2000/svg"/>', reasons.UNSUPPORTED),
        "paper.jpg": (b"%PDF-1.7\n", reasons.UNSUPPORTED),
    }


def jpegs() -> Files:
    good = save(reference(), "JPEG", quality=90)
    large = save(reference(240, 320), "JPEG", quality=95)
    progressive = save(reference(240, 320), "JPEG", quality=95, progressive=True)
    start = good.index(b"\xff\xda")
    thumbnail = with_segment(large, 0xE1, b"Exif\0\0" + save(reference(12, 16), "JPEG"))
    scan = large.index(b"\xff\xda")
    middle = scan + (len(large) - scan) // 2
    tables = large.index(b"\xff\xdb")
    return {
        "three-bytes.jpg": (good[:3], reasons.TRUNCATED),
        "cut-in-header.jpg": (good[:100], reasons.TRUNCATED),
        "cut-before-scan.jpg": (good[: start + 2], reasons.TRUNCATED),
        "cut-half.jpg": (large[:middle], reasons.TRUNCATED),
        "cut-last-bytes.jpg": (good[:-2], reasons.TRUNCATED),
        "cut-half-with-end.jpg": (large[:middle] + b"\xff\xd9", reasons.TRUNCATED),
        "cut-most-with-end.jpg": (large[: -(len(large) - scan) // 8] + b"\xff\xd9", reasons.TRUNCATED),
        "cut-progressive.jpg": (progressive[: len(progressive) // 2], reasons.TRUNCATED),
        "cut-first-scan.jpg": (
            progressive[: progressive.index(b"\xff\xda") + 60] + b"\xff\xd9",
            reasons.TRUNCATED,
        ),
        "cut-with-thumbnail.jpg": (thumbnail[: len(thumbnail) - (len(large) - scan) // 2], reasons.TRUNCATED),
        "zero-tail.jpg": (large[:middle] + bytes(len(large) - middle), reasons.TRUNCATED),
        "huge.jpg": (resized_frame(good, 65500, 65500), reasons.TOO_LARGE),
        "lossless.jpg": (resized_frame(good, WIDTH, HEIGHT, marker=0xC3), reasons.UNSUPPORTED),
        "twelve-bits.jpg": (resized_frame(good, WIDTH, HEIGHT, bits=12), reasons.UNSUPPORTED),
        "no-height.jpg": (resized_frame(good, WIDTH, 0), reasons.UNSUPPORTED),
        "no-markers.jpg": (good[:4] + b"\x55" * 500, reasons.TRUNCATED),
        "broken-segments.jpg": (good[:2] + b"\xff\xe1\0\0" + good[2:], reasons.DECODER_ERROR),
        "no-tables.jpg": (large[:tables] + large[large.index(b"\xff\xc0") :], reasons.DECODER_ERROR),
        "many-segments.jpg": (good[:2] + b"\xff\xe5\0\x02" * 20_000 + good[2:], reasons.UNSUPPORTED),
    }


def pngs() -> Files:
    good = save(reference(), "PNG")
    data = pixels_chunk(reference())
    header = struct.pack(">IIBBBBB", 50_000, 50_000, 8, 2, 0, 0, 0)
    flipped = bytearray(good)
    flipped[len(good) // 2] ^= 0x55
    half = zlib.compress(bytes((WIDTH * 3 + 1) * HEIGHT // 2))
    frames = [Image.fromarray(reference()), Image.fromarray(255 - reference())]
    return {
        "signature.png": (good[:8], reasons.TRUNCATED),
        "fifty-thousand.png": (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header), reasons.TOO_LARGE),
        "fifty-thousand-whole.png": (png(50_000, 50_000, 8, 2, data), reasons.TOO_LARGE),
        "nine-thousand-lie.png": (png(9_000, 9_000, 8, 2, data), reasons.TRUNCATED),
        "cut-half.png": (good[: len(good) // 2], reasons.TRUNCATED),
        "cut-last-chunk.png": (good[:-12], reasons.TRUNCATED),
        "half-rows.png": (png(WIDTH, HEIGHT, 8, 2, chunk(b"IDAT", half)), reasons.DECODER_ERROR),
        "flipped-byte.png": (bytes(flipped), reasons.DECODER_ERROR),
        "no-pixels.png": (png(WIDTH, HEIGHT, 8, 2), reasons.DECODER_ERROR),
        "no-width.png": (png(0, HEIGHT, 8, 2, data), reasons.DECODER_ERROR),
        "no-such-colour.png": (png(WIDTH, HEIGHT, 8, 5, data), reasons.DECODER_ERROR),
        "no-palette.png": (png(WIDTH, HEIGHT, 8, 3, pixels_chunk(reference()[..., 0])), reasons.DECODER_ERROR),
        "apple.png": (b"\x89PNG\r\n\x1a\n" + chunk(b"CgBI", bytes(4)) + good[8:], reasons.DECODER_ERROR),
        "critical-chunk.png": (png(WIDTH, HEIGHT, 8, 2, chunk(b"EVIL", b""), data), reasons.UNSUPPORTED),
        "chunk-length.png": (good[:33] + b"\xff\xff\xff\xff" + good[37:], reasons.TRUNCATED),
        "animated.png": (save(frames[0], "PNG", save_all=True, append_images=frames[1:]), reasons.ANIMATED),
    }


def others() -> Files:
    picture = reference()
    frames = [Image.fromarray(picture), Image.fromarray(255 - picture)]
    webp, gif, bmp, tiff = (save(picture, name) for name in ("WEBP", "GIF", "BMP", "TIFF"))
    lossless = save(picture, "WEBP", lossless=True)
    lzw = save(picture, "TIFF", compression="tiff_lzw")
    canvas = bytearray(save(picture, "WEBP", exif=exif(1)))
    canvas[24:30] = b"\xff\x3f\0\xff\x3f\0"
    wide = bytearray(bmp)
    wide[18:26] = struct.pack("<ii", 60_000, -60_000)
    animation = {"save_all": True, "append_images": frames[1:]}
    return {
        "animated.gif": (save(frames[0], "GIF", **animation), reasons.ANIMATED),
        "animated.webp": (save(frames[0], "WEBP", **animation), reasons.ANIMATED),
        "pages.tiff": (save(frames[0], "TIFF", **animation), reasons.ANIMATED),
        "cut.gif": (gif[: len(gif) // 2], reasons.TRUNCATED),
        "cut.webp": (webp[: len(webp) // 2], reasons.TRUNCATED),
        "cut-header.webp": (webp[:22], reasons.TRUNCATED),
        "corrupt.webp": (lossless[:40] + b"\xaa" * (len(lossless) - 40), reasons.DECODER_ERROR),
        "canvas.webp": (bytes(canvas), reasons.TOO_LARGE),
        "cut.bmp": (bmp[: len(bmp) // 2], reasons.TRUNCATED),
        "huge.bmp": (bytes(wide), reasons.TOO_LARGE),
        "cut.tiff": (tiff[: len(tiff) // 2], reasons.TRUNCATED),
        "cut-lzw.tiff": (lzw[:-60] if lzw[4] == 8 else lzw[: len(lzw) // 2], reasons.TRUNCATED),
        "float.tiff": (cv2.imencode(".tiff", picture.astype(np.float32))[1].tobytes(), reasons.UNSUPPORTED),
        "huge.tiff": (
            b"II*\0\x08\0\0\0\x02\0" + struct.pack("<HHIIHHII", 256, 4, 1, 1_000_000, 257, 4, 1, 1_000_000) + bytes(4),
            reasons.TOO_LARGE,
        ),
        "no-size.tiff": (b"II*\0\x08\0\0\0\0\0" + bytes(4), reasons.DECODER_ERROR),
        "offset-64.tiff": (b"II+\0\x08\0\0\0" + b"\xff" * 8, reasons.TRUNCATED),
        "count-64.tiff": (b"II+\0\x08\0\0\0\x10" + bytes(7) + b"\xff" * 8, reasons.TRUNCATED),
        "directory-beyond.tiff": (b"II*\0\xff\xff\xff\x7f" + bytes(8), reasons.TRUNCATED),
    }


def odd_but_good() -> Files:
    picture = reference()
    data = pixels_chunk(picture)
    good = save(picture, "JPEG", quality=95)
    cmyk = save(Image.fromarray(picture).convert("CMYK"), "JPEG", quality=95)
    inverted = save(Image.fromarray(255 - np.asarray(Image.fromarray(picture).convert("CMYK")), "CMYK"), "JPEG")
    wide = picture.astype(np.uint16) * 256 + 255
    rgba = np.dstack([picture, np.full(picture.shape[:2], 255, np.uint8)])
    bomb = zlib.compress(bytes(64 << 20), 9)
    text = b"Comment\0\0" + bomb
    tiff = bytearray(save(picture, "TIFF"))
    loop = struct.unpack_from("<I", tiff, 4)[0]
    at = loop + 2 + 12 * struct.unpack_from("<H", tiff, loop)[0]
    tiff[at : at + 4] = struct.pack("<I", loop)
    found: dict[str, bytes] = {
        "plain.jpg": good,
        "one-pixel.png": save(picture[:1, :1], "PNG"),
        "one-pixel.jpg": save(picture[:1, :1], "JPEG"),
        "progressive.jpg": save(picture, "JPEG", quality=95, progressive=True),
        "gray.jpg": save(picture[..., 0], "JPEG", quality=95),
        "gray-128.jpg": save(np.full((32, 32, 3), 128, np.uint8), "JPEG"),
        "cmyk-adobe.jpg": cmyk,
        "cmyk-plain.jpg": without_adobe(inverted),
        "ycck-adobe.jpg": ycck(picture),
        "trailing-zeros.jpg": good + bytes(1000),
        "trailing-jpeg.jpg": good + good[: len(good) // 2],
        "broken-exif-64.jpg": with_segment(good, 0xE1, b"Exif\0\0II+\0\x08\0\0\0" + b"\xff" * 8),
        "broken-exif.jpg": with_segment(good, 0xE1, b"Exif\0\0II*\0\xff\xff\xff\xff"),
        "huge-comments.jpg": with_segment(with_segment(good, 0xFE, bytes(65_000)), 0xFE, b"\xff\xd9" * 32_000),
        "gray-16.png": png(WIDTH, HEIGHT, 16, 0, pixels_chunk(wide[..., 0])),
        "rgb-16.png": png(WIDTH, HEIGHT, 16, 2, pixels_chunk(wide)),
        "rgba-16.png": png(WIDTH, HEIGHT, 16, 6, pixels_chunk(rgba.astype(np.uint16) * 257)),
        "rgba.png": save(rgba, "PNG"),
        "gray-alpha.png": png(WIDTH, HEIGHT, 8, 4, pixels_chunk(rgba[..., [0, 3]])),
        "palette.png": save(Image.fromarray(picture).quantize(64), "PNG"),
        "palette-transparent.png": save(Image.fromarray(picture).quantize(64), "PNG", transparency=3),
        "gray-transparent.png": save(picture[..., 0], "PNG", transparency=77),
        "bilevel.png": save(Image.fromarray(picture).convert("1"), "PNG"),
        "interlaced.png": interlaced(picture),
        "ztxt-bomb.png": png(WIDTH, HEIGHT, 8, 2, *[chunk(b"zTXt", text)] * 20, data),
        "itxt-bomb.png": png(WIDTH, HEIGHT, 8, 2, chunk(b"iTXt", b"Comment\0\1\0\0\0" + bomb), data),
        "iccp-bomb.png": png(WIDTH, HEIGHT, 8, 2, chunk(b"iCCP", b"profile\0\0" + bomb), data),
        "huge-ancillary.png": png(WIDTH, HEIGHT, 8, 2, chunk(b"teSt", bytes(5 << 20)), data),
        "plain.webp": save(picture, "WEBP"),
        "lossless.webp": save(picture, "WEBP", lossless=True),
        "alpha.webp": save(rgba, "WEBP", lossless=True),
        "plain.bmp": save(picture, "BMP"),
        "palette.bmp": save(Image.fromarray(picture).quantize(64), "BMP"),
        "still.gif": save(picture, "GIF"),
        "plain.tiff": save(picture, "TIFF"),
        "lzw.tiff": save(picture, "TIFF", compression="tiff_lzw"),
        "gray-16.tiff": cv2.imencode(".tiff", wide[..., 0])[1].tobytes(),
        "rgb-16.tiff": cv2.imencode(".tiff", wide[..., ::-1])[1].tobytes(),
        "cmyk.tiff": save(Image.fromarray(picture).convert("CMYK"), "TIFF"),
        "rgba.tiff": save(rgba, "TIFF"),
        "loop.tiff": bytes(tiff),
        "photo.mpo": save(picture, "MPO", quality=95, save_all=True, append_images=[Image.fromarray(255 - picture)]),
        "stray-bytes.jpg": good.replace(b"\xff\xdb", b"\0\x12\xff\xdb", 1),
        "plain.avif": save(picture, "AVIF", quality=90),
        "plain.jp2": save(picture, "JPEG2000"),
        "plain.ppm": save(picture, "PPM"),
        "plain.qoi": save(picture, "QOI"),
    }
    for orientation in range(1, 9):
        turned = stored(picture, orientation)
        found[f"orientation-{orientation}.jpg"] = save(turned, "JPEG", quality=95, exif=exif(orientation))
        found[f"orientation-{orientation}.png"] = save(turned, "PNG", exif=exif(orientation))
        found[f"orientation-{orientation}.webp"] = save(turned, "WEBP", lossless=True, exif=exif(orientation))
        found[f"orientation-{orientation}.tiff"] = save(turned, "TIFF", tiffinfo={ORIENTATION: orientation})
    return {name: (content, None) for name, content in found.items()}

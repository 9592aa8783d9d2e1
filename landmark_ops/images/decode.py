"""Encoded bytes to one upright RGB array, or a DecodeFailure with a reason code; never half a picture.

    bytes → header (size, format) → pixel cap → stream (complete? one picture?) → decoder → upright, opaque, RGB uint8

JPEG, PNG and WebP are decoded by OpenCV (1.6 × as fast as Pillow on a 720p JPEG, the same pixels); what it does not
read rightly goes to Pillow: TIFF, BMP, GIF, AVIF, JPEG 2000, PNM, QOI, CMYK and YCCK JPEG.

Decisions: 16-bit samples become 8-bit by >> 8. Transparent pictures are laid over white, as a browser shows them:
what someone erased by making it transparent is not detected, though its colours are still in the file. Colour profiles
are ignored. A CMYK JPEG is inverted where it has an Adobe marker, and taken as it stands where it has none.
"""

from __future__ import annotations

import io
import itertools
import re
import struct
import warnings
from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import AvifImagePlugin, ImageOps
from PIL import Image as pillow
from PIL.AvifImagePlugin import AvifImageFile
from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.ImageFile import ImageFile
from PIL.Jpeg2KImagePlugin import Jpeg2KImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PpmImagePlugin import PpmImageFile
from PIL.QoiImagePlugin import QoiImageFile
from PIL.TiffImagePlugin import TiffImageFile

from landmark_ops.images import reasons
from landmark_ops.images.headers import PHOTOMETRIC, Header, read_header
from landmark_ops.images.reasons import DecodeFailure
from landmark_ops.images.streams import END_OF_JPEG, Stream, check_stream

__all__ = ["MAX_PIXELS", "DecodeFailure", "Decoded", "decode", "decode_examined", "examine"]

Image = NDArray[np.uint8]

MAX_PIXELS = 100_000_000
RGB = cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION
#: Flags by the denominator of a scaled JPEG decode; IMREAD_REDUCED_COLOR_n holds the bit that means BGR.
SCALED = {
    1: RGB,
    2: cv2.IMREAD_REDUCED_COLOR_2 & ~cv2.IMREAD_COLOR | RGB,
    4: cv2.IMREAD_REDUCED_COLOR_4 & ~cv2.IMREAD_COLOR | RGB,
    8: cv2.IMREAD_REDUCED_COLOR_8 & ~cv2.IMREAD_COLOR | RGB,
}
STORED = cv2.IMREAD_UNCHANGED  # all channels and bits; ignores the orientation too
PLUGINS: dict[str, Callable[[io.BytesIO], ImageFile]] = {
    "avif": AvifImageFile,
    "bmp": BmpImageFile,
    "gif": GifImageFile,
    "jpeg": JpegImageFile,
    "jpeg2000": Jpeg2KImageFile,
    "pnm": PpmImageFile,
    "qoi": QoiImageFile,
    "tiff": TiffImageFile,
}
AvifImagePlugin.DEFAULT_MAX_THREADS = 1  # a worker is one thread, whatever it decodes
HELD = Header("png", 0, 0)  # of a picture that Pillow holds: the rules of a format apply as far as it tells of them
#: A JPEG marker inside or after the entropy-coded data: 0xFF not followed by a stuffed zero or a restart number.
MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
FILLER = bytes(range(1, 255)) * 64


class Decoded(NamedTuple):
    """An upright picture.

    `image` is (H, W, 3) uint8 RGB, C-contiguous. `width` and `height` are those of the upright original. `scale` is
    image pixels per original pixel: 1, or 1/2, 1/4, 1/8 after a scaled decode, exactly, also where the last row and
    column were rounded up; `geometry.rescale(scale)` maps original to image coordinates.
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


def examine(data: bytes, *, max_pixels: int = MAX_PIXELS) -> tuple[Header, Stream]:
    """All checks that need no decoder: header, pixel cap, completeness. Raises DecodeFailure."""
    data = bytes(data)  # no copy where it is bytes
    header = read_header(data)
    if header.width * header.height > max_pixels:
        raise DecodeFailure(
            reasons.TOO_LARGE,
            f"{header.width} × {header.height} pixels are more than {max_pixels}: raise max_pixels to read it",
        )
    return header, check_stream(data, header)


def decode_examined(header: Header, stream: Stream, *, min_side: int | None = None) -> Decoded:
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


def takes_pillow(header: Header) -> bool:
    """Whether OpenCV reads this kind wrongly, or not at all."""
    return header.format not in ("jpeg", "png", "webp") or (header.format == "jpeg" and header.samples == 4)


def opencv_decode(header: Header, stream: Stream, denominator: int) -> Image:
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
    """Whether the entropy-coded data stopped before the end marker, which libjpeg fills with mid-gray in silence.

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


def pillow_decode(header: Header, stream: Stream, denominator: int) -> Image:
    """Decode to (h, w, 3) RGB as stored; TIFF comes out upright already. Strict: Pillow refuses truncated data."""
    with warnings.catch_warnings():  # odd metadata, and a bomb limit below ours: the cap has been applied already
        warnings.simplefilter("ignore")
        with PLUGINS[header.format](io.BytesIO(stream.payload)) as picture:
            if picture.size != (header.width, header.height) and header.format != "tiff":
                raise DecodeFailure(reasons.DECODER_ERROR, f"two sizes: {picture.size} and {header[1:3]}")
            if denominator > 1:
                picture.draft(picture.mode, (header.width // denominator, header.height // denominator))
            picture.load()
            pixels = to_rgb(picture, header)
    if header.format == "tiff":
        return turn_stored(pixels, header.orientation)
    return pixels


def from_pillow(picture: pillow.Image) -> Image:
    """A picture that Pillow holds, upright, over white where it is transparent, as `decode` reads its file.

    Raises DecodeFailure, also where Pillow does not hold what is needed for that.
    """
    header = header_of(picture)
    try:
        picture.load()  # decoded only now, if it comes from a file
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with suppress(SyntaxError, ValueError, KeyError, struct.error):  # broken EXIF spoils no picture
                picture = ImageOps.exif_transpose(picture)
        return np.ascontiguousarray(to_rgb(picture, header))
    except DecodeFailure:
        raise
    except Exception as error:
        raise failure_of(error) from None


def header_of(picture: pillow.Image) -> Header:
    """What the file said that Pillow has opened and not turned into pixels; of a copy nothing is known."""
    if picture.format == "JPEG":
        return HELD._replace(format="jpeg", adobe=0 if "adobe" in picture.info else -1)
    if picture.format == "PPM":
        return HELD._replace(format="pnm")
    if picture.format == "TIFF":
        return HELD._replace(format="tiff", kind=int(getattr(picture, "tag_v2", {}).get(PHOTOMETRIC, 1)))
    clear = picture.info.get("transparency")
    if isinstance(clear, tuple) and picture.mode == "RGB":
        deep = any("16" in str(tile[-1]) for tile in getattr(picture, "tile", ()))
        if deep or max(clear) > 255:
            raise DecodeFailure(
                reasons.UNSUPPORTED,
                "a transparent colour of 16 bits, of which Pillow keeps 8: give the picture's path or bytes",
            )
    return HELD


def to_rgb(picture: pillow.Image, header: Header) -> Image:
    """Any of Pillow's modes as (h, w, 3) uint8."""
    mode = picture.mode
    if mode.startswith("I;16"):
        deep = np.asarray(picture).astype(np.uint16)
        gray = (deep >> 8).astype(np.uint8)
        if isinstance(clear := picture.info.get("transparency"), int):
            gray[deep == clear] = 255
        if header.format == "tiff" and header.kind == 0:  # white is zero
            gray = 255 - gray
        return np.asarray(cv2.cvtColor(gray, cv2.COLOR_GRAY2RGB))
    if mode == "I" and header.format == "pnm":  # scaled to 16 bits
        picture = pillow.fromarray((np.asarray(picture) >> 8).astype(np.uint8))
    elif mode in ("I", "F"):
        raise DecodeFailure(reasons.UNSUPPORTED, f"{header.bits}-bit samples of mode {mode}: at most 16 bits are read")
    if mode == "CMYK" and header.format == "jpeg" and header.adobe < 0:
        plain = 255 - np.asarray(picture)  # Pillow has inverted it, as if it came from Adobe
        picture = pillow.fromarray(plain, "CMYK")
    if picture.has_transparency_data:
        pixels = np.asarray(picture.convert("RGBA"))
        if (
            header.format == "bmp" and not pixels[..., 3].any()
        ):  # an unused byte: nobody stores a picture to hide it all
            return np.ascontiguousarray(pixels[..., :3])
        return lay_over_white(pixels)
    return np.array(picture.convert("RGB"), np.uint8)


def lay_over_white(pixels: Image) -> Image:
    """(h, w, 4) RGBA, not premultiplied, over white: (h, w, 3), rounded to nearest."""
    alpha = pixels[..., 3:]
    if alpha.min() == 255:
        return np.ascontiguousarray(pixels[..., :3])
    weight = alpha.astype(np.uint16)
    mixed: NDArray[np.uint16] = pixels[..., :3] * weight + (255 * (255 - weight) + 127)
    return (mixed // 255).astype(np.uint8)


def turn_upright(image: Image, orientation: int) -> Image:
    """Undo an EXIF orientation, 1 to 8."""
    if orientation == 1:
        return np.ascontiguousarray(image)
    if orientation >= 5:
        image = np.asarray(cv2.transpose(image), np.uint8)
    flip = {2: 1, 3: -1, 4: 0, 5: None, 6: 1, 7: -1, 8: 0}[orientation]
    return np.ascontiguousarray(image if flip is None else cv2.flip(image, flip))


def turn_stored(image: Image, orientation: int) -> Image:
    """The inverse of `turn_upright`."""
    return turn_upright(image, {6: 8, 8: 6}.get(orientation, orientation))


def failure_of(error: Exception) -> DecodeFailure:
    """What an exception from a decoder says about the file."""
    text = str(error).lower()
    if isinstance(error, cv2.error) and error.code == cv2.Error.STS_NO_MEM:
        return DecodeFailure(reasons.TOO_LARGE, "more memory than there is to decode it")
    if isinstance(error, pillow.DecompressionBombError):
        return DecodeFailure(reasons.TOO_LARGE, "more pixels than Pillow decodes of this format")
    if "truncated" in text:
        return DecodeFailure(reasons.TRUNCATED, "the pixel data ends early")
    return DecodeFailure(reasons.DECODER_ERROR, f"the decoder gave up: {type(error).__name__}")

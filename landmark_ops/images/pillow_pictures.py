"""Formats that OpenCV does not read correctly, decoded by Pillow; and pictures that Pillow holds already."""

from __future__ import annotations

import io
import struct
import warnings
from collections.abc import Callable
from contextlib import suppress

import cv2
import numpy as np
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
from landmark_ops.images.decoder_faults import failure_of
from landmark_ops.images.header import ImageHeader
from landmark_ops.images.pixels import Image, lay_over_white, turn_stored
from landmark_ops.images.reasons import DecodeFailure
from landmark_ops.images.streams import Stream
from landmark_ops.images.tiff import PHOTOMETRIC

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
#: The header of a picture that Pillow holds: rules of a format apply as far as Pillow keeps its data.
HELD = ImageHeader("png", 0, 0)


def pillow_decode(header: ImageHeader, stream: Stream, denominator: int) -> Image:
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
            with suppress(SyntaxError, ValueError, KeyError, struct.error):  # broken EXIF is ignored
                picture = ImageOps.exif_transpose(picture)
        return np.ascontiguousarray(to_rgb(picture, header))
    except DecodeFailure:
        raise
    except Exception as error:
        raise failure_of(error) from None


def header_of(picture: pillow.Image) -> ImageHeader:
    """What Pillow keeps of the header of an opened file that is not decoded yet; nothing for a copy."""
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


def to_rgb(picture: pillow.Image, header: ImageHeader) -> Image:
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
        if header.format == "bmp" and not pixels[..., 3].any():  # all transparent: taken as an unused byte
            return np.ascontiguousarray(pixels[..., :3])
        return lay_over_white(pixels)
    return np.array(picture.convert("RGB"), np.uint8)

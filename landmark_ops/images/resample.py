"""Crops of a picture by an affine map: bilinear, exact to sub-pixels, area-correct when minifying.

OpenCV's uint8 warp rounds positions to 1/32 pixel; here regions are warped in float32, which does not, at the same
speed. Minification by 2 or more along a source axis is done by exact halvings (2 × 2 means) first, so bilinear
sampling never skips pixels. Maps that put the picture on a whole-pixel rectangle (letterbox, stretch) are resized.
A target pixel takes the picture's colour, edge-replicated, where its centre falls into the picture's span, and the
fill colour elsewhere, or everywhere the nearest colour of the picture. Each crop is computed on its own: the same bits
in a batch of one or of a hundred. `warp_plain` is OpenCV's own warp, rounding and all, for nets that were given it.
"""

from __future__ import annotations

import cv2
import numpy as np

from landmark_ops.errors import InputError
from landmark_ops.images.footprint import SNAP, bounds, cells, factors, outside, seen, whole_rectangle
from landmark_ops.images.geometry import Affine
from landmark_ops.images.pixels import Image

Colour = tuple[int, int, int]

BLACK: Colour = (0, 0, 0)


def warp_into(out: Image, image: Image, affine: Affine, *, fill: Colour | None = BLACK, antialias: bool = True) -> None:
    """Resample `image` (H, W, 3) uint8 into `out`, a C-contiguous (h, w, 3) that `affine` maps it to.

    No fill: beyond the picture its nearest colour goes on. `antialias=False` samples bilinearly at any scale, which
    aliases below one half but is what some models were given in training.
    """
    _check(image)
    rectangle = whole_rectangle(image, affine)
    height, width = out.shape[:2]
    if rectangle is not None:
        x0, y0, x1, y1 = rectangle
        whole = (x0, y0, x1, y1) == (0, 0, width, height)
        if whole or (fill is not None and x0 >= 0 and y0 >= 0 and x1 <= width and y1 <= height):
            if fill is not None and not whole:
                paint(out, fill)
            out[y0:y1, x0:x1] = resize(image, x1 - x0, y1 - y0, antialias=antialias)
            return
    sample(out, image, affine, fill, antialias)


def warp_plain(out: Image, image: Image, affine: Affine, *, replicate: bool, antialias: bool = False) -> None:
    """Bilinear samples as OpenCV takes them of uint8, into a C-contiguous (h, w, 3) array.

    Positions are rounded to 1/32 pixel. Beyond the picture lies black, into which its outermost pixels fade, or with
    `replicate` its nearest colour. With `antialias` the picture is halved first, as by `warp_into`.
    """
    _check(image)
    height, width = out.shape[:2]
    fx, fy = factors(affine, antialias)
    x0, y0, x1, y1 = seen(image, affine.inverse(), width, height, fx, fy, replicate)
    if x0 >= x1 or y0 >= y1:
        paint(out, BLACK)
        return
    border = cv2.BORDER_REPLICATE if replicate else cv2.BORDER_CONSTANT
    matrix = affine.compose(cells(fx, fy, x0, y0)).matrix
    region = shrink(image[y0:y1, x0:x1], fx, fy)
    cv2.warpAffine(region, matrix, (width, height), dst=out, flags=cv2.INTER_LINEAR, borderMode=border)


def _check(image: Image) -> None:
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
        raise InputError(f"an image must be (H, W, 3) uint8 RGB with pixels, got {image.shape} {image.dtype}")


def resize(image: Image, width: int, height: int, *, antialias: bool = True) -> Image:
    """The whole picture to whole pixels: means over areas where a side shrinks to half or less, else bilinear."""
    h, w = image.shape[:2]
    if (w, h) == (width, height):
        return image
    if not antialias:
        return np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR))
    while w >= 2 * width and h >= 2 * height and w % 2 == h % 2 == 0:
        w, h = w // 2, h // 2
        image = np.asarray(cv2.resize(image, (w, h), interpolation=cv2.INTER_AREA), np.uint8)
    small = w >= 2 * width or h >= 2 * height
    if (w, h) == (width, height):
        return image
    return np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA if small else cv2.INTER_LINEAR))


def sample(out: Image, image: Image, affine: Affine, fill: Colour | None, antialias: bool) -> None:
    """Bilinear samples of the region that the target sees, after halvings along the source axes."""
    height, width = out.shape[:2]
    inverse = affine.inverse()
    h, w = image.shape[:2]
    fx, fy = factors(affine, antialias)
    x0, y0, x1, y1 = seen(image, inverse, width, height, fx, fy, fill is None)
    if fill is not None and (x0 >= x1 or y0 >= y1):
        paint(out, fill)
        return
    region = shrink(image[y0:y1, x0:x1], fx, fy).astype(np.float32)
    whole = affine.compose(cells(fx, fy, x0, y0))
    warped = cv2.warpAffine(
        region, whole.matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    cv2.convertScaleAbs(warped, dst=out)
    if fill is None:
        return
    left, top, right, bottom = bounds(inverse, width, height)
    if left < -0.5 - SNAP or top < -0.5 - SNAP or right > w - 0.5 + SNAP or bottom > h - 0.5 + SNAP:
        out[outside(inverse, width, height, w, h)] = fill


def paint(out: Image, fill: Colour) -> None:
    """One colour everywhere; a single number is some ten times as fast as three."""
    out[:] = fill[0] if fill[0] == fill[1] == fill[2] else fill


def shrink(region: Image, fx: int, fy: int) -> Image:
    """Means over cells of fx × fy pixels, by halvings; incomplete cells at the end are filled by the last pixel."""
    h, w = region.shape[:2]
    if w % fx or h % fy:
        padded = cv2.copyMakeBorder(region, 0, -h % fy, 0, -w % fx, cv2.BORDER_REPLICATE)
        region = np.asarray(padded, np.uint8)
    while fx > 1 or fy > 1:
        h, w = region.shape[:2]
        halved = (w // min(fx, 2), h // min(fy, 2))
        region = np.asarray(cv2.resize(region, halved, interpolation=cv2.INTER_AREA), np.uint8)
        fx, fy = max(fx // 2, 1), max(fy // 2, 1)
    return region

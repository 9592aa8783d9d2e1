"""Crops of a picture by an affine map: bilinear, exact to sub-pixels, area-correct when minifying.

OpenCV's uint8 warp rounds positions to 1/32 pixel; here regions are warped in float32, which does not, at the same
speed. Minification by 2 or more along a source axis is done by exact halvings (2 × 2 means) first, so bilinear
sampling never skips pixels. Maps that put the picture on a whole-pixel rectangle (letterbox, stretch) are resized.
A target pixel takes the picture's colour, edge-replicated, where its centre falls into the picture's span, and the
fill colour elsewhere, or everywhere the nearest colour of the picture. Each crop is computed on its own: the same bits
in a batch of one or of a hundred. `warp_plain` is OpenCV's own warp, rounding and all, for nets that were given it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from landmark_ops.errors import InputError
from landmark_ops.images.geometry import Affine

Image = NDArray[np.uint8]
Size = tuple[int, int]
Colour = tuple[int, int, int]

SNAP = 1e-6  # px: an edge this near to a pixel edge is on it
BLACK: Colour = (0, 0, 0)


def warp(image: Image, affine: Affine, size: Size, *, fill: Colour = BLACK, antialias: bool = True) -> Image:
    """Resample `image` (H, W, 3) uint8 to a target of `size` (width, height), which `affine` maps it to.

    Returns (height, width, 3) uint8, C-contiguous. `antialias=False` samples bilinearly at any scale, which aliases
    below one half but is what some models were given in training.
    """
    out = np.empty((size[1], size[0], 3), np.uint8)
    warp_into(out, image, affine, fill=fill, antialias=antialias)
    return out


def warp_batch(
    images: Sequence[Image], affines: Sequence[Affine], size: Size, *, fill: Colour = BLACK, antialias: bool = True
) -> Image:
    """Crop i of `images[i]` by `affines[i]`: (n, height, width, 3) uint8, bit for bit what `warp` gives for each."""
    if len(images) != len(affines):
        raise InputError(f"{len(images)} images and {len(affines)} affine maps: give one map per image")
    out = np.empty((len(images), size[1], size[0], 3), np.uint8)
    for target, image, affine in zip(out, images, affines, strict=True):
        warp_into(target, image, affine, fill=fill, antialias=antialias)
    return out


def warp_into(out: Image, image: Image, affine: Affine, *, fill: Colour | None = BLACK, antialias: bool = True) -> None:
    """`warp` into a C-contiguous (h, w, 3) array. No fill: beyond the picture its nearest colour goes on."""
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
    `replicate` its nearest colour. With `antialias` the picture is halved first, as by `warp`.
    """
    _check(image)
    height, width = out.shape[:2]
    fx, fy = _factors(affine, antialias)
    x0, y0, x1, y1 = _seen(image, affine.inverse(), width, height, fx, fy, replicate)
    if x0 >= x1 or y0 >= y1:
        paint(out, BLACK)
        return
    border = cv2.BORDER_REPLICATE if replicate else cv2.BORDER_CONSTANT
    matrix = affine.compose(_cells(fx, fy, x0, y0)).matrix
    region = shrink(image[y0:y1, x0:x1], fx, fy)
    cv2.warpAffine(region, matrix, (width, height), dst=out, flags=cv2.INTER_LINEAR, borderMode=border)


def _check(image: Image) -> None:
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
        raise InputError(f"an image must be (H, W, 3) uint8 RGB with pixels, got {image.shape} {image.dtype}")


def whole_rectangle(image: Image, affine: Affine) -> tuple[int, int, int, int] | None:
    """x0, y0, x1, y1 of the target pixels that the whole picture covers exactly, None where there are no such."""
    (a, b, x), (c, d, y) = affine.matrix.tolist()
    if b or c or a <= 0 or d <= 0:
        return None
    height, width = image.shape[:2]
    edges = (x - a / 2 + 0.5, y - d / 2 + 0.5, x + a * (width - 0.5) + 0.5, y + d * (height - 0.5) + 0.5)
    x0, y0, x1, y1 = map(round, edges)
    near = max(abs(edge - whole) for edge, whole in zip(edges, (x0, y0, x1, y1), strict=True)) <= SNAP
    return (x0, y0, x1, y1) if near and x1 > x0 and y1 > y0 else None


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
    fx, fy = _factors(affine, antialias)
    x0, y0, x1, y1 = _seen(image, inverse, width, height, fx, fy, fill is None)
    if fill is not None and (x0 >= x1 or y0 >= y1):
        paint(out, fill)
        return
    region = shrink(image[y0:y1, x0:x1], fx, fy).astype(np.float32)
    whole = affine.compose(_cells(fx, fy, x0, y0))
    warped = cv2.warpAffine(
        region, whole.matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    cv2.convertScaleAbs(warped, dst=out)
    if fill is None:
        return
    left, top, right, bottom = _bounds(inverse, width, height)
    if left < -0.5 - SNAP or top < -0.5 - SNAP or right > w - 0.5 + SNAP or bottom > h - 0.5 + SNAP:
        out[outside(inverse, width, height, w, h)] = fill


def _factors(affine: Affine, antialias: bool) -> tuple[int, int]:
    """The powers of two by which the source is shrunk along x and y before it is sampled."""
    if not antialias:
        return 1, 1
    steps = affine.matrix[:, :2]
    return halvings(math.hypot(*steps[:, 0])), halvings(math.hypot(*steps[:, 1]))


def _cells(fx: int, fy: int, x0: int, y0: int) -> Affine:
    """From cells of fx × fy pixels, counted from pixel x0, y0 on, to pixels."""
    return Affine([[fx, 0, (fx - 1) / 2 + x0], [0, fy, (fy - 1) / 2 + y0]])


def _bounds(inverse: Affine, width: int, height: int) -> tuple[float, float, float, float]:
    """Left, top, right and bottom in the source of a target of width × height pixels."""
    corners = inverse.apply([[-0.5, -0.5], [width - 0.5, -0.5], [-0.5, height - 0.5], [width - 0.5, height - 0.5]])
    (left, top), (right, bottom) = corners.min(0).tolist(), corners.max(0).tolist()
    return left, top, right, bottom


def _seen(
    image: Image, inverse: Affine, width: int, height: int, fx: int, fy: int, replicate: bool
) -> tuple[int, int, int, int]:
    """x0, y0, x1, y1 of the source pixels that a target sees, in whole cells of its grid of halvings, with a margin.

    With `replicate` a target beside the picture sees the edge that is nearest.
    """
    left, top, right, bottom = _bounds(inverse, width, height)
    h, w = image.shape[:2]
    if replicate:
        left, right = np.clip([left, right], 0, w - 1).tolist()
        top, bottom = np.clip([top, bottom], 0, h - 1).tolist()
    x0, x1 = aligned(left, right, fx, w)
    y0, y1 = aligned(top, bottom, fy, h)
    return x0, y0, x1, y1


def paint(out: Image, fill: Colour) -> None:
    """One colour everywhere; a single number is some ten times as fast as three."""
    out[:] = fill[0] if fill[0] == fill[1] == fill[2] else fill


def outside(inverse: Affine, width: int, height: int, w: int, h: int) -> NDArray[np.bool_]:
    """(height, width): target pixels whose centres fall outside the span of a w × h picture."""
    u, v = np.arange(width), np.arange(height)[:, None]
    (a, b, tx), (c, d, ty) = inverse.matrix
    x = (a * u + tx) + b * v
    y = (c * u + ty) + d * v
    away: NDArray[np.bool_] = np.abs(x - (w - 1) / 2) > w / 2 + SNAP
    return away | (np.abs(y - (h - 1) / 2) > h / 2 + SNAP)


def halvings(step: float) -> int:
    """The power of two to shrink by: the largest that leaves at least one source pixel per target pixel."""
    return 1 << max(0, math.frexp(1 / step + 1e-9)[1] - 1)


def aligned(low: float, high: float, factor: int, side: int) -> tuple[int, int]:
    """Source pixels from low to high with a margin of two cells, in whole cells of `factor`, cut to the picture."""
    start = (math.floor(max(low, -1e9)) // factor - 2) * factor
    stop = (math.ceil(min(high, 1e9)) // factor + 3) * factor
    return max(start, 0), min(stop, side)


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

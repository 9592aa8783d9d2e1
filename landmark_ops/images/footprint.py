"""Which source pixels a target sees through an affine map, and by how much they are shrunk before it samples them."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from landmark_ops.images.geometry import Affine
from landmark_ops.images.pixels import Image

SNAP = 1e-6  # px: an edge this near to a pixel edge is on it


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


def factors(affine: Affine, antialias: bool) -> tuple[int, int]:
    """The powers of two by which the source is shrunk along x and y before it is sampled."""
    if not antialias:
        return 1, 1
    steps = affine.matrix[:, :2]
    return halvings(math.hypot(*steps[:, 0])), halvings(math.hypot(*steps[:, 1]))


def cells(fx: int, fy: int, x0: int, y0: int) -> Affine:
    """From cells of fx × fy pixels, counted from pixel x0, y0 on, to pixels."""
    return Affine([[fx, 0, (fx - 1) / 2 + x0], [0, fy, (fy - 1) / 2 + y0]])


def bounds(inverse: Affine, width: int, height: int) -> tuple[float, float, float, float]:
    """Left, top, right and bottom in the source of a target of width × height pixels."""
    corners = inverse.apply([[-0.5, -0.5], [width - 0.5, -0.5], [-0.5, height - 0.5], [width - 0.5, height - 0.5]])
    (left, top), (right, bottom) = corners.min(0).tolist(), corners.max(0).tolist()
    return left, top, right, bottom


def seen(
    image: Image, inverse: Affine, width: int, height: int, fx: int, fy: int, replicate: bool
) -> tuple[int, int, int, int]:
    """x0, y0, x1, y1 of the source pixels that a target sees, in whole cells of its grid of halvings, with a margin.

    With `replicate` a target beside the picture sees the edge that is nearest.
    """
    left, top, right, bottom = bounds(inverse, width, height)
    h, w = image.shape[:2]
    if replicate:
        left, right = np.clip([left, right], 0, w - 1).tolist()
        top, bottom = np.clip([top, bottom], 0, h - 1).tolist()
    x0, x1 = aligned(left, right, fx, w)
    y0, y1 = aligned(top, bottom, fy, h)
    return x0, y0, x1, y1


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

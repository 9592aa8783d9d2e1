"""Affine maps between a picture and its crops, exact and sub-pixel, with their inverses.

Points are (x, y) with pixel centres at integers, so a picture of width w spans -0.5 to w - 0.5, and resizing it to v
pixels is u = (x + ½)·v/w - ½. Every crop is one affine; what is found in the crop goes back by its inverse.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from landmark_ops.errors import InputError

Points = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Affine:
    """`matrix` (2, 3) float64 maps source to target pixels: target = matrix[:, :2] @ source + matrix[:, 2].

    >>> Affine([[2, 0, 0.5], [0, 2, 0.5]]).apply([0, 0])
    array([0.5, 0.5])
    """

    matrix: NDArray[np.float64]

    def __init__(self, matrix: ArrayLike) -> None:
        values = np.array(matrix, np.float64)
        if values.shape != (2, 3) or not np.isfinite(values).all():
            raise InputError(f"an affine map needs a finite 2 × 3 matrix, got shape {values.shape}: {values.tolist()}")
        values.setflags(write=False)
        object.__setattr__(self, "matrix", values)

    @cached_property
    def scale(self) -> float:
        """Target pixels per source pixel: the square root of the area ratio."""
        (a, b, _), (c, d, _) = self.matrix.tolist()
        return math.sqrt(abs(a * d - b * c))

    def inverse(self) -> Affine:
        """Target back to source. Raises InputError where the map is singular."""
        (a, b, x), (c, d, y) = self.matrix.tolist()
        det = a * d - b * c
        if not math.isfinite(det) or abs(det) <= 1e-12 * math.hypot(a, b) * math.hypot(c, d):
            raise InputError(f"the affine map {self.matrix.tolist()} is singular: a crop needs two sides above zero")
        a, b, c, d = d / det, -b / det, -c / det, a / det
        return Affine([[a, b, -(a * x + b * y)], [c, d, -(c * x + d * y)]])

    def apply(self, points: ArrayLike) -> Points:
        """Map points (..., 2), source pixels, to (..., 2) target pixels, float64; NaN stays NaN."""
        values = np.asarray(points, np.float64)
        # written out: BLAS may round a matrix product differently for other numbers of points
        x, y = values[..., 0], values[..., 1]
        (a, b, tx), (c, d, ty) = self.matrix
        return np.stack([a * x + b * y + tx, c * x + d * y + ty], axis=-1)

    def compose(self, first: Affine) -> Affine:
        """The map that applies `first`, then this one: a.compose(b).apply(p) = a.apply(b.apply(p))."""
        linear = self.matrix[:, :2]
        product = linear @ first.matrix
        product[:, 2] += self.matrix[:, 2]
        return Affine(product)


def letterbox(width: int, height: int, target_w: int, target_h: int, *, centre: bool) -> Affine:
    """Fit a picture into a target with its shape kept; the rest of the target is padding, right and below or around.

    The fitted picture has whole pixels, round(side · r), and whole-pixel padding, as detectors were trained; the two
    sides therefore differ in scale by up to half a pixel over their length, and the map says so exactly.
    """
    check_sides(width, height, target_w, target_h)
    r = min(target_w / width, target_h / height)
    fit_w, fit_h = max(1, round(width * r)), max(1, round(height * r))
    left, top = ((target_w - fit_w) // 2, (target_h - fit_h) // 2) if centre else (0, 0)
    return Affine(resize_rows(fit_w / width, fit_h / height, left, top))


def stretch(width: int, height: int, target_w: int, target_h: int) -> Affine:
    """Resize a picture to the whole target, sides scaled on their own."""
    check_sides(width, height, target_w, target_h)
    return Affine(resize_rows(target_w / width, target_h / height, 0, 0))


def crop(centre_xy: ArrayLike, side_w: float, side_h: float, angle_rad: float, target_w: int, target_h: int) -> Affine:
    """A rectangle of the picture, rotated about its centre, onto the whole target.

    `centre_xy` and sides in source pixels. The angle turns the rectangle's x axis towards +y, clockwise as seen:
    source = centre + R(angle)·((target + ½)/target size - ½)·sides.
    """
    check_sides(side_w, side_h, target_w, target_h)
    x, y = np.asarray(centre_xy, np.float64).tolist()
    cos, sin = math.cos(angle_rad), math.sin(angle_rad)
    sx, sy = target_w / side_w, target_h / side_h
    return Affine(
        [
            [sx * cos, sx * sin, target_w / 2 - 0.5 - sx * (cos * x + sin * y)],
            [-sy * sin, sy * cos, target_h / 2 - 0.5 - sy * (cos * y - sin * x)],
        ]
    )


def resize_rows(sx: float, sy: float, left: float, top: float) -> list[list[float]]:
    """Scaling of pixel areas, then a shift: u = (x + ½)·s - ½ + shift."""
    return [[sx, 0.0, (sx - 1) / 2 + left], [0.0, sy, (sy - 1) / 2 + top]]


def check_sides(*sides: float) -> None:
    """Raise InputError unless all sides are finite and above zero."""
    if not all(math.isfinite(side) and side > 0 for side in sides):
        raise InputError(f"sides and scales of a crop must be finite and above zero, got {', '.join(map(str, sides))}")

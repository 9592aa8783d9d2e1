"""From an instance's box and points to the region that is cropped for a net: turned squares, and boxes with black bars.

Angles are MediaPipe's: the wanted direction minus atan2(-(y1 - y0), x1 - x0), brought to [-π, π).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from landmark_ops.detectors.instances import Floats, Size
from landmark_ops.detectors.pipeline_spec import RegionRule
from landmark_ops.images.geometry import Affine, crop


class Regions(NamedTuple):
    """n regions: centres (n, 2), sides (n, 2) as width and height in image pixels, angles (n,) in radians.

    A region's pixel q of a crop of S pixels lies at centre + R(angle)·((q + ½)/S - ½)·sides.
    """

    centres: Floats
    sides: Floats
    angles: Floats


def regions(rule: RegionRule, boxes: Floats, points: Floats, image_sizes: NDArray[np.intp], aspect: float) -> Regions:
    """Regions (n) that `rule` makes of boxes (n, 4) and points (n, K, 2 or 3).

    image_sizes: (n, 2) width and height of each box's image, to which fit clips. aspect: width by height of the net's
    input: regions take its shape, so that nothing is stretched.
    """
    points = points[..., :2]
    angles = _angles(rule, points, len(boxes))
    if rule.side == "fit":
        boxes = clip(boxes, image_sizes)
    centres, extents = _extents(rule, boxes, points, angles)
    if rule.centre:
        centres = points[:, rule.centre].mean(axis=1)
    units = extents
    if rule.side == "mean":
        units = np.repeat(extents.mean(axis=1, keepdims=True), 2, axis=1)
    elif rule.side == "circle":
        radius = np.linalg.norm(points[:, rule.points] - centres[:, None], axis=2).max(axis=1)
        units = np.repeat(2 * radius[:, None], 2, axis=1)
    across = _turn(np.asarray(rule.shift) * units, angles)
    # The smallest region of the input's shape that holds the extent; for a square input the longer side.
    height = np.maximum(units[:, 1], units[:, 0] / aspect) * rule.scale
    return Regions(centres + across, np.stack([height * aspect, height], axis=1), angles)


def outside(boxes: Floats, width: int, height: int) -> NDArray[np.bool_]:
    """(n,) whether boxes (n, 4) of pixels do not meet a picture of this size at all."""
    beyond = (boxes[:, :2] >= (width, height)).any(axis=1) | (boxes[:, 2:4] <= 0).any(axis=1)
    return np.asarray(beyond, np.bool_)


def clip(boxes: Floats, image_sizes: NDArray[np.intp]) -> Floats:
    """Boxes (n, 4) cut at the edges of their images, -0.5 and size - 0.5."""
    limits = np.tile(image_sizes, 2) - 0.5
    return np.clip(boxes, -0.5, limits)


def affines(found: Regions, size: Size, mirror: bool) -> list[Affine]:
    """For each region the affine from image pixels to the pixels of a crop of `size`."""
    mapped = []
    for centre, side, angle in zip(*found, strict=True):
        to_crop = crop((centre[0], centre[1]), side[0], side[1], angle, *size)
        if mirror:
            flip = np.array([[-1.0, 1.0]]).T * to_crop.matrix
            flip[0, 2] += size[0] - 1
            to_crop = Affine(flip)
        mapped.append(to_crop)
    return mapped


def black_bars(crops: NDArray[np.uint8], boxes: Floats, to_crop: list[Affine]) -> None:
    """Blacken, in place, the pixels of crops (n, h, w, 3) whose centres lie outside their upright boxes (n, 4)."""
    height, width = crops.shape[1:3]
    columns, rows = np.arange(width), np.arange(height)
    for image, box, affine in zip(crops, boxes, to_crop, strict=True):
        (x0, y0), (x1, y1) = affine.apply(box.reshape(2, 2))
        image[(rows < y0) | (rows > y1)] = 0
        image[:, (columns < x0) | (columns > x1)] = 0


def _angles(rule: RegionRule, points: Floats, n: int) -> Floats:
    if rule.axis is None:
        return np.zeros(n)
    first, second = (points[:, side].mean(axis=1) for side in rule.axis)
    along = second - first
    turn = np.radians(rule.upright) - np.arctan2(-along[:, 1], along[:, 0])
    return np.asarray((turn + np.pi) % (2 * np.pi) - np.pi)


def _extents(rule: RegionRule, boxes: Floats, points: Floats, angles: Floats) -> tuple[Floats, Floats]:
    """Middles (n, 2) and sides (n, 2) of what a region is measured on."""
    if rule.around == "box":
        return (boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]
    chosen = points[:, rule.points]
    middle = chosen.mean(axis=1, keepdims=True)
    turned = _turn(chosen - middle, -angles[:, None])
    low, high = turned.min(axis=1), turned.max(axis=1)
    return middle[:, 0] + _turn((low + high) / 2, angles), high - low


def _turn(vectors: Floats, angles: Floats) -> Floats:
    """R(angle) applied to vectors (…, 2); angles broadcast against all but the last axis."""
    cos, sin = np.cos(angles), np.sin(angles)
    x, y = vectors[..., 0], vectors[..., 1]
    return np.stack([cos * x - sin * y, sin * x + cos * y], axis=-1)

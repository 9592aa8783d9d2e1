"""Pictures of keypoints: boxes, edges, points and ids laid over an image, and sheets of many such pictures.

Sizes follow the instance, so that a face of 40 pixels and one of 2000 both read well; colours differ by instance and
keep their contrast on dark and light ground by a dark rim. Images are RGB and never changed in place; coordinates are
pixels with pixel centres at integers, which is OpenCV's own convention for drawing.
"""

from __future__ import annotations

import colorsys
from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from landmark_ops.errors import InputError
from landmark_ops.keypoints.landmark_sets import LandmarkSet

Image = NDArray[np.uint8]
Floats = NDArray[np.float64]
Colour = tuple[int, int, int]

SHIFT = 4  # OpenCV draws at 1/16 pixel
FAR = 2**20  # beyond, its fixed point overflows; NaN counts as far
INK: Colour = (16, 16, 16)
PAPER: Colour = (250, 250, 248)


class Drawn(NamedTuple):
    """One instance to draw. box: (4,) x0, y0, x1, y1 or None. keypoints: (K, 2 or more), NaN where a point is missing.

    label: a word beside the box. visible: (K,) in 0..1 or NaN; points below one half are drawn hollow.
    """

    keypoints: Floats
    box: Floats | None = None
    visible: Floats | None = None
    label: str = ""


def overlay(
    image: Image,
    instances: Sequence[Drawn],
    points: LandmarkSet | None = None,
    *,
    scale: float = 1.0,
) -> Image:
    """The image with instances drawn over it. `points`: the set the keypoints belong to, whose edges are drawn.

    Numbers stand beside the points where there are at most 33 and room for them. scale: image pixels per pixel of the
    coordinates, for an image that was decoded smaller. Raises `InputError` for keypoints of another set.
    """
    canvas = np.ascontiguousarray(image).copy()
    for at, drawn in enumerate(instances):
        keypoints = drawn.keypoints[:, :2] * scale + (scale - 1) / 2
        if points is not None and len(keypoints) not in (0, points.size):
            raise InputError(f"{len(keypoints)} keypoints given, {points.name} has {points.size}: name another set")
        box = None if drawn.box is None else drawn.box * scale + (scale - 1) / 2
        extent = _extent(keypoints, box)
        if extent <= 0:
            continue
        colour = colour_of(at)
        width = _stroke(extent, len(keypoints))
        if box is not None:
            _rectangle(canvas, box, colour, width)
        places = _places(keypoints)
        if points is not None and len(keypoints):
            for a, b in points.edges:
                _line(canvas, places[a], places[b], colour, width)
        radius = _radius(extent, len(keypoints))
        for index, place in enumerate(places):
            seen = drawn.visible is None or not drawn.visible[index] < 0.5
            _dot(canvas, place, colour, radius, filled=seen)
        show = len(keypoints) <= 33 and extent >= 160
        if show:
            for index, point in enumerate(keypoints):
                _text(canvas, str(index), point + np.array([radius * 1.6, -radius]), _text_height(extent) * 0.5, colour)
        if drawn.label:
            corner = np.array(_corner(keypoints, box))
            _text(canvas, drawn.label, corner - [0, width * 2], _text_height(extent), colour)
    return canvas


def sheet(
    pictures: Sequence[Image], captions: Sequence[str] = (), *, columns: int = 4, cell: tuple[int, int] = (320, 320)
) -> Image:
    """Pictures side by side, each fitted undistorted into a cell of (width, height) pixels, on a light ground."""
    width, height = cell
    gap, below = 12, 26 if captions else 0
    across = max(1, min(columns, len(pictures)))
    down = max(1, -(-len(pictures) // across))
    page = np.full((gap + down * (height + below + gap), gap + across * (width + gap), 3), PAPER, np.uint8)
    for at, picture in enumerate(pictures):
        top = gap + (at // across) * (height + below + gap)
        left = gap + (at % across) * (width + gap)
        small = _fit(picture, width, height)
        y, x = top + (height - small.shape[0]) // 2, left + (width - small.shape[1]) // 2
        page[y : y + small.shape[0], x : x + small.shape[1]] = small
        if at < len(captions):
            text = _shortened(captions[at], width)
            cv2.putText(page, text, (left, top + height + 18), _FONT, 0.42, INK, 1, cv2.LINE_AA)
    return page


def colour_of(instance: int) -> Colour:
    """A bright colour per instance: hues a golden section apart, so that neighbours differ."""
    red, green, blue = colorsys.hsv_to_rgb((0.36 + 0.618034 * instance) % 1.0, 0.72, 1.0)
    return round(red * 255), round(green * 255), round(blue * 255)


_FONT = cv2.FONT_HERSHEY_SIMPLEX


def _extent(keypoints: Floats, box: Floats | None) -> float:
    """The longest side of an instance in pixels, of its box or its points."""
    there = keypoints[(np.abs(keypoints) < FAR).all(1)]
    sides = [float(np.ptp(there, axis=0).max())] if len(there) else []
    if box is not None and (np.abs(box) < FAR).all():
        sides.append(float(max(box[2] - box[0], box[3] - box[1])))
    return max(sides, default=0.0)


def _corner(keypoints: Floats, box: Floats | None) -> tuple[float, float]:
    if box is not None:
        return float(box[0]), float(box[1])
    return float(np.nanmin(keypoints[:, 0])), float(np.nanmin(keypoints[:, 1]))


def _stroke(extent: float, count: int) -> int:
    return int(np.clip(round(extent / (220 if count <= 33 else 320)), 1, 40))


def _radius(extent: float, count: int) -> float:
    return float(np.clip(extent / (110 if count <= 33 else 140 if count <= 68 else 320), 0.8, 40))


def _text_height(extent: float) -> float:
    return float(np.clip(extent / 26, 12, 40))


def _places(points: Floats) -> list[tuple[int, int] | None]:
    """Points (K, 2) in OpenCV's fixed point, None for those that cannot be drawn; all at once, as there are many."""
    there: NDArray[np.bool_] = np.all(np.abs(points) < FAR, axis=1)
    fixed = np.rint(np.where(there[:, None], points, 0) * 2**SHIFT).astype(np.int64).tolist()
    return [(x, y) if drawable else None for (x, y), drawable in zip(fixed, there, strict=True)]


def _drawable(point: Floats) -> bool:
    return bool((np.abs(point) < FAR).all())


def _line(canvas: Image, a: tuple[int, int] | None, b: tuple[int, int] | None, colour: Colour, width: int) -> None:
    if a is not None and b is not None:
        cv2.line(canvas, a, b, colour, width, cv2.LINE_AA, SHIFT)


def _dot(canvas: Image, at: tuple[int, int] | None, colour: Colour, radius: float, *, filled: bool) -> None:
    if at is None:
        return
    if radius > 1.5:
        cv2.circle(canvas, at, round((radius * 1.35) * 2**SHIFT), INK, -1, cv2.LINE_AA, SHIFT)
    thickness = -1 if filled else max(1, round(radius / 2))
    cv2.circle(canvas, at, round(radius * 2**SHIFT), colour, thickness, cv2.LINE_AA, SHIFT)


def _rectangle(canvas: Image, box: Floats, colour: Colour, width: int) -> None:
    low, high = _places(box.reshape(2, 2))
    if low is not None and high is not None:
        cv2.rectangle(canvas, low, high, INK, width + 2, cv2.LINE_AA, SHIFT)
        cv2.rectangle(canvas, low, high, colour, width, cv2.LINE_AA, SHIFT)


def _text(canvas: Image, text: str, point: Floats, height: float, colour: Colour) -> None:
    if not _drawable(point):
        return
    size = height / 22.0  # the font's capitals are 22 pixels high at size 1
    thickness = max(1, round(height / 9))
    (across, up), _ = cv2.getTextSize(text, _FONT, size, thickness)
    x = int(np.clip(point[0], 1, max(1, canvas.shape[1] - across - 1)))
    y = int(np.clip(point[1], up + 1, max(up + 1, canvas.shape[0] - 2)))
    cv2.putText(canvas, text, (x, y), _FONT, size, INK, thickness + 2, cv2.LINE_AA)
    cv2.putText(canvas, text, (x, y), _FONT, size, colour, thickness, cv2.LINE_AA)


def _fit(picture: Image, width: int, height: int) -> Image:
    scale = min(width / picture.shape[1], height / picture.shape[0])
    size = (max(1, round(picture.shape[1] * scale)), max(1, round(picture.shape[0] * scale)))
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(picture, size, interpolation=how), np.uint8)


def _shortened(text: str, width: int) -> str:
    plain = text.encode("ascii", "replace").decode()  # OpenCV's font knows nothing else
    room = max(4, width // 8)
    return plain if len(plain) <= room else "..." + plain[3 - room :]

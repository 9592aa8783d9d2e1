"""Decoded pixels laid over white, and turned upright."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]


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

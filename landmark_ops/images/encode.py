"""Pictures back to bytes, for reports: never for anything that is measured."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from landmark_ops.errors import RunError

MARK = b"\xff\xfe\0\x17drawn by landmark-ops"
"""A comment segment in every picture that is written here, right after the first one."""
_AFTER_FIRST = 20
QUALITY = 85  # of 100


def is_drawn(data: bytes) -> bool:
    """Whether a file was written by `to_jpeg`: a drawing of ours, no picture to look for anything in."""
    return data.startswith(MARK, _AFTER_FIRST)


def shrunk(image: NDArray[np.uint8], side: int) -> tuple[NDArray[np.uint8], float]:
    """A picture (H, W, 3) with its longer side at most `side` pixels, and its pixels per pixel of `image`."""
    height, width = image.shape[:2]
    shrink = min(1.0, side / max(height, width))
    if shrink == 1:
        return image, 1.0
    size = (max(1, round(width * shrink)), max(1, round(height * shrink)))
    # Averaging areas takes seven times as long, and shows no difference to the eye where little is shrunk.
    rule = cv2.INTER_AREA if shrink < 0.5 else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image, size, interpolation=rule), np.uint8), shrink


def to_jpeg(image: NDArray[np.uint8], side: int) -> bytes:
    """An RGB picture (H, W, 3) as JPEG, shrunk to at most `side` pixels.

    Raises RunError where OpenCV cannot encode it.
    """
    small, _ = shrunk(image, side)
    # A reversed view would be copied pixel by pixel, which takes longer than the encoding itself.
    ok, data = cv2.imencode(".jpg", cv2.cvtColor(small, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    if not ok:
        height, width = image.shape[:2]
        raise RunError(f"a picture of {width} x {height} could not be encoded as JPEG")
    encoded = data.tobytes()
    return encoded[:_AFTER_FIRST] + MARK + encoded[_AFTER_FIRST:]

"""Pictures back to bytes, for reports: never for anything that is measured."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from landmark_ops.errors import RunError


def to_jpeg(image: NDArray[np.uint8], side: int, quality: int = 85) -> bytes:
    """An RGB picture (H, W, 3) as JPEG, shrunk to at most `side` pixels."""
    height, width = image.shape[:2]
    shrink = min(1.0, side / max(height, width))
    if shrink < 1:
        size = (max(1, round(width * shrink)), max(1, round(height * shrink)))
        # Averaging areas takes seven times as long, and shows no difference to the eye where little is shrunk.
        rule = cv2.INTER_AREA if shrink < 0.5 else cv2.INTER_LINEAR
        image = np.asarray(cv2.resize(image, size, interpolation=rule), np.uint8)
    ok, data = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not ok:
        raise RunError(f"a picture of {width} x {height} could not be encoded as JPEG")
    return data.tobytes()

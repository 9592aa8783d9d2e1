"""A picture warped to a target of its own, for tests that look at the pixels."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from landmark_ops.images.geometry import Affine
from landmark_ops.images.resample import warp_into


def warp(image: NDArray[np.uint8], affine: Affine, size: tuple[int, int], **options: Any) -> NDArray[np.uint8]:
    """(height, width, 3) for a `size` of (width, height)."""
    out = np.empty((size[1], size[0], 3), np.uint8)
    warp_into(out, image, affine, **options)
    return out

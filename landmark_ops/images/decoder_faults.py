"""What an exception of a decoder says about the file."""

from __future__ import annotations

import cv2
from PIL import Image as pillow

from landmark_ops.images import reasons
from landmark_ops.images.reasons import DecodeFailure


def failure_of(error: Exception) -> DecodeFailure:
    """What an exception from a decoder says about the file."""
    text = str(error).lower()
    if isinstance(error, cv2.error) and error.code == cv2.Error.STS_NO_MEM:
        return DecodeFailure(reasons.TOO_LARGE, "more memory than there is to decode it")
    if isinstance(error, pillow.DecompressionBombError):
        return DecodeFailure(reasons.TOO_LARGE, "more pixels than Pillow decodes of this format")
    if "truncated" in text:
        return DecodeFailure(reasons.TRUNCATED, "the pixel data ends early")
    return DecodeFailure(reasons.DECODER_ERROR, f"the decoder gave up: {type(error).__name__}")

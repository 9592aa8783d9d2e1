"""The failure of a file, from a decoder's exception."""

from __future__ import annotations

import cv2
from PIL import Image as pillow

from landmark_ops.images import reasons
from landmark_ops.images.reasons import DecodeFailure


def failure_of(error: Exception) -> DecodeFailure:
    """The failure that an exception of a decoder means."""
    text = str(error).lower()
    if isinstance(error, cv2.error) and error.code == cv2.Error.STS_NO_MEM:
        return DecodeFailure(reasons.TOO_LARGE, "more memory than there is to decode it")
    if isinstance(error, pillow.DecompressionBombError):
        return DecodeFailure(reasons.TOO_LARGE, "more pixels than Pillow decodes of this format")
    if "truncated" in text:
        return DecodeFailure(reasons.TRUNCATED, "the pixel data ends early")
    return DecodeFailure(reasons.DECODER_ERROR, f"the decoder gave up: {type(error).__name__}")

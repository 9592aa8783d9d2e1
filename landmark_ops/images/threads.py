"""One thread per worker: OpenCV takes all cores by default, however many workers share them."""

from __future__ import annotations

import cv2


def use_one_thread() -> None:
    """Keep OpenCV's calls in this process on the calling thread."""
    if cv2.getNumThreads() != 1:
        cv2.setNumThreads(1)

"""Final steps left to the decoder: the logistic function, and edge-based coordinates.

Nets whose training labels were divided by the image's width place 0 at the left *edge* of the first pixel, which is
-0.5 where pixel centres are integers: `EDGE` is added to their coordinates. Whether a net is one of them shows when a
picture and its mirror image are fed to it: x and the mirrored x' add up to W for edges, to W - 1 for centres.
Measured on 79 faces: YuNet W - 0.1 ± 0.2, RetinaFace W - 0.3 ± 0.2, BlazeFace W - 0.1 ± 0.1, Face Mesh W - 0.2 ± 0.3
are edge-based; face-api's 68 points, W - 1.3 ± 0.4, are not.
"""

from __future__ import annotations

import numpy as np

from landmark_ops.detectors.instances import Floats

#: From edge-based coordinates to those of pixel centres.
EDGE = -0.5


def sigmoid(logits: np.ndarray) -> Floats:
    """1 / (1 + exp(-x)) in float64, x clipped to ±100 as MediaPipe does, so that exp cannot overflow."""
    return np.asarray(1 / (1 + np.exp(-np.clip(np.asarray(logits, dtype=np.float64), -100, 100))))


def softmax(logits: Floats) -> Floats:
    """Shares that add up to 1 along the last axis."""
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True))

"""SimCC heads (RTMPose), for nets a user brings: each coordinate is a class among the input's pixels, or parts of them.

Li et al. 2022, arXiv:2107.03332; the score as in MMPose's get_simcc_maximum.
"""

from __future__ import annotations

import numpy as np

from landmark_ops.detectors.decoder import DECODERS, Locator
from landmark_ops.detectors.decoders.domains import LOCATES, POSITIVE
from landmark_ops.detectors.decoders.heads import heads, shaped
from landmark_ops.detectors.decoders.parameters import number
from landmark_ops.detectors.instances import Outputs, Parameters, Points, Size, unknown


def decode_simcc(outputs: Outputs, size: Size, parameters: Parameters) -> Points:
    """The points of each crop: outputs simcc_x (n, K, width · ratio) and simcc_y (n, K, height · ratio).

    parameters: split_ratio (2.0), classes per pixel. Score: the smaller of the two maxima. Where it is not above 0 the
    point is NaN (MMPose writes -1, which a map back to the image would turn into a place).
    """
    ratio = number(parameters, "split_ratio", 2.0)
    across, down = (
        shaped(head, name, None, round(side * ratio)).astype(np.float64)
        for head, name, side in zip(heads(outputs, "simcc_x", "simcc_y"), ("simcc_x", "simcc_y"), size, strict=True)
    )
    scores = np.minimum(across.max(axis=2), down.max(axis=2))
    keypoints = unknown(*scores.shape, 3)
    places = np.stack([across.argmax(axis=2), down.argmax(axis=2)], axis=-1) / ratio
    keypoints[..., :2] = np.where(scores[..., None] > 0, places, np.nan)
    return Points(keypoints, scores, unknown(*scores.shape), unknown(len(scores)), {})


DECODERS.register(
    Locator(
        name="simcc",
        decode=decode_simcc,
        parameters={"split_ratio": POSITIVE, **LOCATES},
        outputs=("simcc_x", "simcc_y"),
    )
)

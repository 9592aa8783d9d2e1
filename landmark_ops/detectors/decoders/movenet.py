"""MoveNet single-pose: 17 points of the one person a crop shows."""

from __future__ import annotations

from landmark_ops.detectors.decoder import DECODERS, Locator
from landmark_ops.detectors.decoders.activations import EDGE
from landmark_ops.detectors.decoders.domains import LOCATES, PRESENCE
from landmark_ops.detectors.decoders.heads import flat, heads, probabilities
from landmark_ops.detectors.instances import Outputs, Parameters, Points, Size, unknown

N_KEYPOINTS = 17


def decode_movenet(outputs: Outputs, size: Size, parameters: Parameters) -> Points:
    """The person of each crop: one output (n, 1, 17, 3) as y, x in 0..1 of the input, score.

    The net has no flag of its own: presence is the mean of the points' scores.
    """
    (told,) = heads(outputs, "y, x and score")
    values = flat(told, "y, x and score", 3 * N_KEYPOINTS).reshape(-1, N_KEYPOINTS, 3)
    probabilities(values[..., 2], "score")
    n = len(values)
    keypoints = unknown(n, N_KEYPOINTS, 3)
    keypoints[..., 0] = values[..., 1] * size[0] + EDGE
    keypoints[..., 1] = values[..., 0] * size[1] + EDGE
    scores = values[..., 2]
    return Points(keypoints, scores, unknown(n, N_KEYPOINTS), scores.mean(axis=1), {})


DECODERS.register(Locator(name="movenet", decode=decode_movenet, parameters={**LOCATES, **PRESENCE}))

"""MediaPipe hand landmarks: 21 points, presence and handedness from rotated square crops."""

from __future__ import annotations

from landmark_ops.detectors.decoder import DECODERS, Locator
from landmark_ops.detectors.decoders.activations import EDGE
from landmark_ops.detectors.decoders.domains import LOCATES, POSITIVE, PRESENCE, required
from landmark_ops.detectors.decoders.heads import flat, heads, probabilities
from landmark_ops.detectors.decoders.parameters import number
from landmark_ops.detectors.instances import Outputs, Parameters, Points, Size, unknown

N_KEYPOINTS = 21


def decode_hand(outputs: Outputs, size: Size, parameters: Parameters) -> Points:
    """The hand of each crop.

    outputs: landmarks (n, 63) as x, y, z in input pixels; hand flag (n, 1) and handedness (n, 1), both already in 0..1.
    parameters: normalize_z (0.4), by which MediaPipe divides z.

    extra["right_hand"] is the net's handedness as it comes: how sure it is of a real right hand in an unmirrored
    picture. MediaPipe reports the same number as the score of its label "Left", for it expects mirrored selfies.
    """
    landmarks, *flags = heads(outputs, "landmarks", "hand flag", "handedness")
    keypoints = flat(landmarks, "landmarks", 3 * N_KEYPOINTS).reshape(-1, N_KEYPOINTS, 3)
    keypoints[..., :2] += EDGE
    keypoints[..., 2] /= number(parameters, "normalize_z")
    n = len(keypoints)
    presence, right = (
        flat(probabilities(head, name), name, 1)[:, 0]
        for head, name in zip(flags, ("hand flag", "handedness"), strict=True)
    )
    return Points(keypoints, unknown(n, N_KEYPOINTS), unknown(n, N_KEYPOINTS), presence, {"right_hand": right})


DECODERS.register(
    Locator(name="hand", decode=decode_hand, parameters={"normalize_z": required(POSITIVE), **LOCATES, **PRESENCE})
)

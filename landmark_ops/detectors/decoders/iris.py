"""MediaPipe iris: five points from rotated square crops of eyes."""

from __future__ import annotations

from landmark_ops.detectors.decoder import DECODERS, Locator
from landmark_ops.detectors.decoders.domains import LOCATES
from landmark_ops.detectors.decoders.heads import crop_points, heads
from landmark_ops.detectors.instances import Outputs, Parameters, Points, Size, unknown

N_KEYPOINTS = 5


def decode_iris(outputs: Outputs, size: Size, parameters: Parameters) -> Points:
    """The iris of each eye crop, pupil centre then four points of its rim.

    outputs: eye contour (n, 213), left alone; iris (n, 15) as x, y, z in input pixels. The net was trained on the eye
    at the left of an unmirrored picture: crops of the other eye are mirrored by their affine.
    """
    keypoints = crop_points(heads(outputs, "eye contour", "iris")[1], "iris", N_KEYPOINTS)
    n = len(keypoints)
    return Points(keypoints, unknown(n, N_KEYPOINTS), unknown(n, N_KEYPOINTS), unknown(n), {})


DECODERS.register(Locator(name="iris", decode=decode_iris, parameters=LOCATES))

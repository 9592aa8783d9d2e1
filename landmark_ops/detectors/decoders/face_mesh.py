"""MediaPipe Face Mesh: 468 points from rotated square crops of faces."""

from __future__ import annotations

from landmark_ops.detectors.decoder import DECODERS, Locator
from landmark_ops.detectors.decoders.activations import sigmoid
from landmark_ops.detectors.decoders.domains import LOCATES, PRESENCE
from landmark_ops.detectors.decoders.heads import crop_points, flat, heads
from landmark_ops.detectors.instances import Outputs, Parameters, Points, Size, unknown

N_KEYPOINTS = 468


def decode_face_mesh(outputs: Outputs, size: Size, parameters: Parameters) -> Points:
    """The mesh of each crop: landmarks (n, 1404) as x, y, z in input pixels; face flag (n, 1), a logit."""
    landmarks, flag = heads(outputs, "landmarks", "face flag")
    keypoints = crop_points(landmarks, "landmarks", N_KEYPOINTS)
    n = len(keypoints)
    presence = sigmoid(flat(flag, "face flag", 1)[:, 0])
    return Points(keypoints, unknown(n, N_KEYPOINTS), unknown(n, N_KEYPOINTS), presence, {})


DECODERS.register(Locator(name="face_mesh", decode=decode_face_mesh, parameters={**LOCATES, **PRESENCE}))

"""MediaPipe Face Mesh (468 points) and iris (5 points) from rotated square crops."""

from __future__ import annotations

import numpy as np

from landmark_ops.detectors.decoders.activations import EDGE, sigmoid
from landmark_ops.detectors.decoders.heads import flat, heads
from landmark_ops.detectors.instances import Floats, Outputs, Parameters, Points, Size, unknown

N_MESH, N_IRIS = 468, 5


def decode_face_mesh(outputs: Outputs, size: Size, parameters: Parameters) -> Points:
    """The mesh of each crop: landmarks (n, 1404) as x, y, z in input pixels; face flag (n, 1), a logit."""
    landmarks, flag = heads(outputs, "landmarks", "face flag")
    keypoints = _pixels(landmarks, "landmarks", N_MESH)
    n = len(keypoints)
    presence = sigmoid(flat(flag, "face flag", 1)[:, 0])
    return Points(keypoints, unknown(n, N_MESH), unknown(n, N_MESH), presence, {})


def decode_iris(outputs: Outputs, size: Size, parameters: Parameters) -> Points:
    """The iris of each eye crop, pupil centre then four points of its rim.

    outputs: eye contour (n, 213), left alone; iris (n, 15) as x, y, z in input pixels. The net was trained on the eye
    at the left of an unmirrored picture: crops of the other eye are mirrored by their affine.
    """
    keypoints = _pixels(heads(outputs, "eye contour", "iris")[1], "iris", N_IRIS)
    n = len(keypoints)
    return Points(keypoints, unknown(n, N_IRIS), unknown(n, N_IRIS), unknown(n), {})


def _pixels(landmarks: np.ndarray, name: str, n_keypoints: int) -> Floats:
    keypoints = flat(landmarks, name, 3 * n_keypoints).reshape(-1, n_keypoints, 3)
    keypoints[..., :2] += EDGE
    return keypoints

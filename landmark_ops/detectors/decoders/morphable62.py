"""3DDFA-V2: 62 parameters of a morphable face model, read for the head's pose, and 68 points from a second head.

cleardusk/3DDFA_V2 utils/pose.py. Of the parameters, 12 are a scaled rotation and a translation; the 50 of shape and
expression need the Basel Face Model's basis, which is not free, and are left alone.
"""

from __future__ import annotations

import numpy as np

from landmark_ops.detectors.decoder import DECODERS, Locator
from landmark_ops.detectors.decoders.domains import LOCATES, NUMBERS, PIXEL_OFFSET, required
from landmark_ops.detectors.decoders.heads import flat, heads
from landmark_ops.detectors.decoders.parameters import number, numbers
from landmark_ops.detectors.instances import Floats, Outputs, Parameters, Points, Size, unknown

N_KEYPOINTS = 68


def decode_morphable62(outputs: Outputs, size: Size, parameters: Parameters) -> Points:
    """The 68 points and the head pose of each crop.

    outputs: params (n, 62), standardised; landmarks (n, 136) as 68 x then 68 y in -1..1 of the input.
    parameters: mean and std (12 or 62 numbers); pixel_offset as in regression68.
    extra: yaw, pitch, roll in degrees; see `head_pose` for signs.
    """
    given, landmarks = heads(outputs, "params", "landmarks")
    values, points = flat(given, "params", 62), flat(landmarks, "landmarks", 2 * N_KEYPOINTS)
    n = len(values)
    keypoints = unknown(n, N_KEYPOINTS, 3)
    pairs = points.reshape(n, 2, N_KEYPOINTS).transpose(0, 2, 1)
    keypoints[..., :2] = (pairs + 1) / 2 * size + number(parameters, "pixel_offset", 0.0)
    affine = values[:, :12] * numbers(parameters, "std")[:12] + numbers(parameters, "mean")[:12]
    yaw, pitch, roll = head_pose(affine).T
    nothing = unknown(n, N_KEYPOINTS)
    return Points(keypoints, nothing, nothing.copy(), unknown(n), {"yaw": yaw, "pitch": pitch, "roll": roll})


def head_pose(affine: Floats) -> Floats:
    """Yaw, pitch and roll (n, 3) in degrees from row-major 3 × 4 matrices (n, 12) of scaled rotation and translation.

    Rows 1 and 2 are normalised, row 3 is their cross product; yaw = asin R₂₀, pitch = atan2(R₂₁, R₂₂), roll =
    atan2(R₁₀, R₀₀).
    """
    rotation = affine.reshape(-1, 3, 4)[..., :3]
    first, second = (rotation[:, i] / np.linalg.norm(rotation[:, i], axis=1, keepdims=True) for i in (0, 1))
    third = np.cross(first, second)
    yaw = np.arcsin(np.clip(third[:, 0], -1, 1))  # a unit row may exceed 1 by rounding
    angles = [yaw, np.arctan2(third[:, 1], third[:, 2]), np.arctan2(second[:, 0], first[:, 0])]
    return np.asarray(np.degrees(np.stack(angles, axis=1)))


DECODERS.register(
    Locator(
        name="morphable62",
        decode=decode_morphable62,
        parameters={"mean": required(NUMBERS), "std": required(NUMBERS), **PIXEL_OFFSET, **LOCATES},
    )
)

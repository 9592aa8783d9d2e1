"""BlazePose: 39 points of which the first 33 are published, with visibility, from rotated square crops."""

from __future__ import annotations

import numpy as np

from landmark_ops.detectors.decoders.activations import EDGE, sigmoid
from landmark_ops.detectors.decoders.heads import flat, heads, probabilities, shaped
from landmark_ops.detectors.decoders.parameters import count, number
from landmark_ops.detectors.instances import Floats, Outputs, Parameters, Points, Size
from landmark_ops.errors import InputError

N_POINTS, N_KEYPOINTS = 39, 33


def decode_blazepose(outputs: Outputs, size: Size, parameters: Parameters) -> Points:
    """The body of each crop; the last six points, which only steer MediaPipe's tracking, are dropped.

    outputs: landmarks (n, 195) as x, y, z in input pixels, visibility and presence logits; pose flag (n, 1), already in
    0..1; optionally heatmaps (n, 39, 64, 64) as logits. parameters: heatmap_refine, true to move points by `refine`
    where a heatmap reaches heatmap_threshold within heatmap_kernel cells.
    """
    landmarks, flag = heads(outputs, "landmarks", "pose flag")
    values = flat(landmarks, "landmarks", 5 * N_POINTS).reshape(-1, N_POINTS, 5)[:, :N_KEYPOINTS]
    keypoints = values[..., :3].copy()
    if parameters.get("heatmap_refine", False):
        if len(outputs) < 3:
            raise InputError("heatmap_refine needs the net's heatmap: name it third among the spec's outputs")
        threshold, reach = number(parameters, "heatmap_threshold"), count(parameters, "heatmap_kernel") // 2
        keypoints[..., :2] = refine(
            keypoints[..., :2],
            shaped(np.asarray(outputs[2]), "heatmap", N_POINTS, None, None)[:, :N_KEYPOINTS],
            size,
            threshold,
            reach,
        )
    keypoints[..., :2] += EDGE
    presence = flat(probabilities(flag, "pose flag"), "pose flag", 1)[:, 0]
    return Points(keypoints, sigmoid(values[..., 4]), sigmoid(values[..., 3]), presence, {})


def refine(keypoints: Floats, heatmaps: np.ndarray, size: Size, threshold: float, reach: int = 3) -> Floats:
    """Points (n, K, 2) in edge-based input pixels, moved to the heatmap's mean over (2·reach + 1)² cells.

    A point moves where the largest probability in its window reaches `threshold`. Cells count at their centres;
    MediaPipe's RefineLandmarksFromHeatmapCalculator counts them at their corners, half a cell (2 of 256 px) up and
    left of ours.
    """
    rows, columns = heatmaps.shape[2:]
    refined = keypoints.copy()
    for i, k in np.ndindex(keypoints.shape[:2]):
        column, row = (int(v) for v in np.floor(keypoints[i, k] * (columns, rows) / size))
        if not (0 <= column < columns and 0 <= row < rows):
            continue
        left, top = max(0, column - reach), max(0, row - reach)
        weights = sigmoid(heatmaps[i, k, top : row + reach + 1, left : column + reach + 1])
        if weights.max() < threshold:
            continue
        y, x = np.mgrid[top : top + weights.shape[0], left : left + weights.shape[1]] + 0.5
        refined[i, k] = np.array([(weights * x).sum(), (weights * y).sum()]) / weights.sum() / (columns, rows) * size
    return refined

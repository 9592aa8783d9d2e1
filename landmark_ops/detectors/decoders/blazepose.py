"""BlazePose: 39 points of which the first 33 are published, with visibility, from rotated square crops."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from landmark_ops.detectors.decoder import DECODERS, Locator
from landmark_ops.detectors.decoders.activations import EDGE, sigmoid
from landmark_ops.detectors.decoders.domains import COUNT, FLAG, LOCATES, PRESENCE, SHARE
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

    Raises InputError where `heatmap_refine` is asked for and the net's heatmap is not among the outputs.
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

    A point moves where the largest probability in its window, which ends at the map's edges, reaches `threshold`; one
    outside the map stays. Cells count at their upper left corners, as in MediaPipe's
    RefineLandmarksFromHeatmapCalculator: on 27 pictures refined points then lie on average where unrefined ones do (0.1
    crop pixels apart), and 1.7 to the right and 1.5 below if cells count at their centres.
    """
    n, n_keypoints, rows, columns = heatmaps.shape
    cells = np.trunc(keypoints * (columns, rows) / size)  # towards 0, so that the first cell reaches beyond the edge
    inside: NDArray[np.bool_] = np.all((cells >= 0) & (cells < (columns, rows)), axis=2)
    column, row = np.where(inside[..., None], cells, 0).astype(np.intp).transpose(2, 0, 1)
    steps = np.arange(-reach, reach + 1)
    x, y = column[..., None] + steps, row[..., None] + steps  # (n, K, window)
    there = ((y >= 0) & (y < rows))[..., :, None] & ((x >= 0) & (x < columns))[..., None, :]
    image, point = np.ogrid[:n, :n_keypoints]
    window = heatmaps[
        image[..., None, None],
        point[..., None, None],
        np.clip(y, 0, rows - 1)[..., :, None],
        np.clip(x, 0, columns - 1)[..., None, :],
    ]
    weights = np.where(there, sigmoid(window), 0)
    total = weights.sum(axis=(2, 3))
    means = np.stack([(weights.sum(axis=2) * x).sum(axis=2), (weights.sum(axis=3) * y).sum(axis=2)], axis=-1)
    sure = inside & (weights.max(axis=(2, 3)) >= threshold)
    moved = means / np.where(sure, total, 1)[..., None] / (columns, rows) * size
    return np.where(sure[..., None], moved, keypoints)


DECODERS.register(
    Locator(
        name="blazepose",
        decode=decode_blazepose,
        parameters={"heatmap_refine": FLAG, "heatmap_kernel": COUNT, "heatmap_threshold": SHARE, **LOCATES, **PRESENCE},
    )
)

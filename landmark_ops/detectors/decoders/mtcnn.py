"""MTCNN: candidates of a small net on a pyramid of sizes, refined by a second net, finished with points by a third.

Zhang et al. 2016, doi:10.1109/LSP.2016.2603342. Which inputs the nets see is the cascade's business; here are the three
decoders. Boxes are edges of windows: the first net's cell (i, j) sees the 12 pixels from 2i on.
"""

from __future__ import annotations

import numpy as np

from landmark_ops.detectors.decoders.activations import EDGE
from landmark_ops.detectors.decoders.heads import heads, probabilities, shaped
from landmark_ops.detectors.decoders.parameters import number
from landmark_ops.detectors.instances import Floats, Found, Outputs, Parameters, Size
from landmark_ops.detectors.nms import keep

STRIDE, WINDOW, N_KEYPOINTS = 2, 12, 5


def decode_pnet(outputs: Outputs, size: Size, parameters: Parameters) -> list[Found]:
    """Candidates of each input of the batch (one size of the pyramid), best first.

    outputs: regression (n, columns, rows, 4), probabilities (n, columns, rows, 2), both with x before y.
    parameters: score_threshold, nms_iou.
    """
    threshold, max_iou = number(parameters, "score_threshold"), number(parameters, "nms_iou")
    offsets, shares = heads(outputs, "regression", "probabilities")
    shaped(shares, "probabilities", *shaped(offsets, "regression", None, None, 4).shape[1:3], 2)
    probabilities(shares, "probabilities")
    found = []
    for regression, probability in zip(offsets, shares, strict=True):
        columns, rows = np.nonzero(probability[..., 1] > threshold)
        corner = np.stack([columns, rows], axis=1) * float(STRIDE) + EDGE
        windows = np.hstack([corner, corner + WINDOW])
        score = probability[columns, rows, 1].astype(np.float64)
        kept = keep(Found(windows, score, regression[columns, rows].astype(np.float64).reshape(-1, 2, 2)), max_iou)
        boxes = (
            kept.boxes + kept.keypoints.reshape(-1, 4) * WINDOW
        )  # offsets travelled as keypoints through suppression
        found.append(Found(boxes, kept.scores, np.empty((len(boxes), 0, 2))))
    return found


def decode_rnet(outputs: Outputs, size: Size) -> Found:
    """One box per crop, in crop pixels: outputs are regression (n, 4) and probabilities (n, 2). Nothing is dropped."""
    regression, probability = heads(outputs, "regression", "probabilities")
    shaped(regression, "regression", 4)
    probabilities(shaped(probability, "probabilities", 2), "probabilities")
    boxes = _refined(regression, size)
    return Found(boxes, probability[:, 1].astype(np.float64), np.empty((len(boxes), 0, 2)))


def decode_onet(outputs: Outputs, size: Size) -> Found:
    """One box and five points per crop, in crop pixels.

    outputs: regression (n, 4), points (n, 10) as 5 x then 5 y, probabilities (n, 2).
    """
    regression, points, probability = heads(outputs, "regression", "points", "probabilities")
    shaped(regression, "regression", 4)
    shaped(points, "points", 2 * N_KEYPOINTS)
    probabilities(shaped(probability, "probabilities", 2), "probabilities")
    keypoints = points.astype(np.float64).reshape(-1, 2, N_KEYPOINTS).transpose(0, 2, 1) * size + EDGE
    return Found(_refined(regression, size), probability[:, 1].astype(np.float64), keypoints)


def _refined(regression: np.ndarray, size: Size) -> Floats:
    """The crop's own edges moved by offsets in shares of its sides.

    Offsets count from half a pixel right of and below the crop's edges, upstream's 1-based pixels: counted from the
    edges, boxes of 71 faces and of their mirror images lie 0.6 (24 px net) and 0.8 (48 px net) crop pixels too far
    left.
    """
    return np.asarray(np.array([0.0, 0.0, *size]) + regression.astype(np.float64) * [*size, *size])


def square(boxes: Floats) -> Floats:
    """Boxes (n, 4) grown about their centres to squares of their longer sides: the regions the next net sees."""
    centre = (boxes[:, :2] + boxes[:, 2:]) / 2
    half = (boxes[:, 2:] - boxes[:, :2]).max(axis=1, keepdims=True) / 2
    return np.hstack([centre - half, centre + half])


def pyramid(width: int, height: int, parameters: Parameters) -> list[float]:
    """Scales at which the first net looks at an image, largest first: min_face_px become 12 px."""
    scale, factor = WINDOW / number(parameters, "min_face_px"), number(parameters, "scale_factor")
    scales = []
    while min(width, height) * scale >= WINDOW:
        scales.append(scale)
        scale *= factor
    return scales

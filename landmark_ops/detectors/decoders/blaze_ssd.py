"""BlazeFace, palm and pose detection: MediaPipe's SSD with anchors of fixed size and weighted suppression.

mediapipe/calculators/tflite/ssd_anchors_calculator.cc and tensors_to_detections_calculator.cc.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from landmark_ops.detectors.decoder import DECODERS, Finder
from landmark_ops.detectors.decoders.activations import EDGE, sigmoid
from landmark_ops.detectors.decoders.domains import ANY_SIZE, COUNTS, FINDS, Domain, required
from landmark_ops.detectors.decoders.heads import heads, logits, shaped
from landmark_ops.detectors.decoders.parameters import count, number, whole_numbers
from landmark_ops.detectors.instances import Floats, Found, Outputs, Parameters, Size
from landmark_ops.detectors.nms import blend
from landmark_ops.errors import InputError


def decode_blaze_ssd(outputs: Outputs, size: Size, parameters: Parameters) -> list[Found]:
    """Faces, palms or bodies of each input of the batch, best first.

    outputs: regressors (n, A, 4 + 2K) of centre, size and K points in input pixels relative to the anchor; score logits
    (n, A, 1). parameters: strides, anchors_per_cell for each stride, keypoints (K), score_threshold, nms_iou.

    Raises InputError where the anchors or values of the net are not as many as its spec makes.
    """
    regressors, scores = heads(outputs, "regressors", "scores")
    threshold, max_iou = number(parameters, "score_threshold"), number(parameters, "nms_iou")
    n_keypoints = count(parameters, "keypoints")
    cells = anchors(
        size, tuple(whole_numbers(parameters, "strides")), tuple(whole_numbers(parameters, "anchors_per_cell"))
    )
    shaped(regressors, "regressors", None, None)
    if regressors.shape[1:] != (len(cells), 4 + 2 * n_keypoints):
        raise InputError(
            f"the net gives {regressors.shape[1]} anchors of {regressors.shape[2]} values, its spec makes {len(cells)} "
            f"of {4 + 2 * n_keypoints}: correct parameters.strides, anchors_per_cell or keypoints"
        )
    confidences = sigmoid(logits(shaped(scores, "scores", len(cells), 1), "scores")[..., 0])
    found = []
    for score, offsets in zip(confidences, regressors, strict=True):
        seen = np.flatnonzero(score > threshold)
        anchor, values = cells[seen], offsets[seen].astype(np.float64)
        centre, half = values[:, :2] + anchor, values[:, 2:4] / 2
        keypoints = values[:, 4:].reshape(-1, n_keypoints, 2) + anchor[:, None]
        boxes = np.hstack([centre - half, centre + half])
        found.append(blend(Found(boxes + EDGE, score[seen], keypoints + EDGE), max_iou))
    return found


@lru_cache(maxsize=16)
def anchors(size: Size, strides: tuple[int, ...], per_cell: tuple[int, ...]) -> Floats:
    """(A, 2) anchor centres in edge-based input pixels: cells by row, `per_cell` copies side by side."""
    centres = []
    for stride, copies in zip(strides, per_cell, strict=True):
        columns, rows = -(-size[0] // stride), -(-size[1] // stride)
        y, x = np.mgrid[:rows, :columns]
        cell = (np.stack([x.ravel(), y.ravel()], axis=1) + 0.5) / (columns, rows) * size
        centres.append(cell.repeat(copies, axis=0))
    cells = np.concatenate(centres)
    cells.flags.writeable = False  # shared by every caller
    return cells


DECODERS.register(
    Finder(
        name="blaze_ssd",
        decode=decode_blaze_ssd,
        parameters={
            "strides": required(COUNTS),
            "anchors_per_cell": required(COUNTS),
            "keypoints": required(Domain("a whole number from 0", 0, whole=True)),
            **FINDS,
            **ANY_SIZE,
        },
        outputs=("regressors", "scores"),
    )
)

"""MTCNN's first net: candidates on a pyramid of sizes, which `mtcnn_rnet` refines and `mtcnn_onet` finishes.

Zhang et al. 2016, doi:10.1109/LSP.2016.2603342. Which inputs the nets see is the cascade's business. Boxes are edges of
windows: cell (i, j) sees the 12 pixels from 2i on.
"""

from __future__ import annotations

import numpy as np

from landmark_ops.detectors.decoder import DECODERS, Finder
from landmark_ops.detectors.decoders.activations import EDGE
from landmark_ops.detectors.decoders.domains import ANY_SIZE, FINDS, PIXELS, SHARE, Domain, required
from landmark_ops.detectors.decoders.heads import heads, probabilities, shaped
from landmark_ops.detectors.decoders.parameters import number
from landmark_ops.detectors.instances import Found, Outputs, Parameters, Size
from landmark_ops.detectors.nms import keep

STRIDE, WINDOW = 2, 12


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


DECODERS.register(
    Finder(
        name="mtcnn_pnet",
        decode=decode_pnet,
        parameters={
            "nms_iou_merged": required(SHARE),
            "min_face_px": required(PIXELS),
            "scale_factor": required(Domain("a number from 0.1 to 0.95", 0.1, 0.95)),
            **FINDS,
            **ANY_SIZE,
        },
    )
)

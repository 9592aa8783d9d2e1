"""Ultra-Light: SSD face boxes whose prior boxes are built into the net.

Linzaer/Ultra-Light-Fast-Generic-Face-Detector-1MB.
"""

from __future__ import annotations

import numpy as np

from landmark_ops.detectors.decoder import DECODERS, Finder
from landmark_ops.detectors.decoders.activations import EDGE
from landmark_ops.detectors.decoders.domains import ANY_SIZE, FINDS
from landmark_ops.detectors.decoders.heads import heads, probabilities, shaped
from landmark_ops.detectors.decoders.parameters import number
from landmark_ops.detectors.instances import Found, Outputs, Parameters, Size
from landmark_ops.detectors.nms import keep


def decode_ultralight(outputs: Outputs, size: Size, parameters: Parameters) -> list[Found]:
    """Faces of each input of the batch, best first, without points.

    outputs: scores (n, A, 2) probabilities, boxes (n, A, 4) as x0, y0, x1, y1 in 0..1 of the input.
    parameters: score_threshold, nms_iou.
    """
    threshold, max_iou = number(parameters, "score_threshold"), number(parameters, "nms_iou")
    likely, corners = heads(outputs, "scores", "boxes")
    shaped(corners, "boxes", shaped(likely, "scores", None, 2).shape[1], 4)
    probabilities(likely, "scores")
    faces = []
    for scores, boxes in zip(likely, corners, strict=True):
        seen = np.flatnonzero(scores[:, 1] > threshold)
        pixels = boxes[seen].astype(np.float64) * [*size, *size] + EDGE
        faces.append(keep(Found(pixels, scores[seen, 1].astype(np.float64), np.empty((len(seen), 0, 2))), max_iou))
    return faces


DECODERS.register(
    Finder(
        name="ultralight",
        decode=decode_ultralight,
        parameters={**FINDS, **ANY_SIZE},
        outputs=("scores", "boxes"),
    )
)

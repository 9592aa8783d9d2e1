"""MTCNN's third net: the final box, score and five points. Zhang et al. 2016, doi:10.1109/LSP.2016.2603342."""

from __future__ import annotations

import numpy as np

from landmark_ops.detectors.decoder import DECODERS, Refiner
from landmark_ops.detectors.decoders.activations import EDGE
from landmark_ops.detectors.decoders.domains import FINDS
from landmark_ops.detectors.decoders.heads import heads, probabilities, shaped
from landmark_ops.detectors.decoders.mtcnn_rnet import moved_edges
from landmark_ops.detectors.instances import Found, Outputs, Parameters, Size

N_KEYPOINTS = 5


def decode_onet(outputs: Outputs, size: Size, parameters: Parameters) -> Found:
    """One box and five points per crop, in crop pixels.

    outputs: regression (n, 4), points (n, 10) as 5 x then 5 y, probabilities (n, 2).
    """
    regression, points, probability = heads(outputs, "regression", "points", "probabilities")
    shaped(regression, "regression", 4)
    shaped(points, "points", 2 * N_KEYPOINTS)
    probabilities(shaped(probability, "probabilities", 2), "probabilities")
    keypoints = points.astype(np.float64).reshape(-1, 2, N_KEYPOINTS).transpose(0, 2, 1) * size + EDGE
    return Found(moved_edges(regression, size), probability[:, 1].astype(np.float64), keypoints)


DECODERS.register(Refiner(name="mtcnn_onet", decode=decode_onet, parameters=FINDS))

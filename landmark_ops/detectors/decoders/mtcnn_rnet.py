"""MTCNN's second net: a better box and score for each candidate. Zhang et al. 2016, doi:10.1109/LSP.2016.2603342."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from landmark_ops.detectors.decoder import DECODERS, Refiner
from landmark_ops.detectors.decoders.domains import FINDS
from landmark_ops.detectors.decoders.heads import heads, probabilities, shaped
from landmark_ops.detectors.instances import Floats, Found, Outputs, Parameters, Size


def decode_rnet(outputs: Outputs, size: Size, parameters: Parameters) -> Found:
    """One box per crop, in crop pixels: outputs are regression (n, 4) and probabilities (n, 2). Nothing is dropped."""
    regression, probability = heads(outputs, "regression", "probabilities")
    shaped(regression, "regression", 4)
    probabilities(shaped(probability, "probabilities", 2), "probabilities")
    boxes = moved_edges(regression, size)
    return Found(boxes, probability[:, 1].astype(np.float64), np.empty((len(boxes), 0, 2)))


def moved_edges(regression: NDArray[np.generic], size: Size) -> Floats:
    """The crop's own edges moved by offsets in shares of its sides.

    Offsets count from half a pixel right of and below the crop's edges, upstream's 1-based pixels: counted from the
    edges, boxes of 71 faces and of their mirror images lie 0.6 (24 px net) and 0.8 (48 px net) crop pixels too far
    left.
    """
    return np.asarray(np.array([0.0, 0.0, *size]) + regression.astype(np.float64) * [*size, *size])


DECODERS.register(Refiner(name="mtcnn_rnet", decode=decode_rnet, parameters=FINDS))

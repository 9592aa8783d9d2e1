"""RetinaFace: SSD face boxes and five points, coded against prior boxes.

biubug6/Face-Detector-1MB-with-landmark utils/box_utils.py.
"""

from __future__ import annotations

import numpy as np

from landmark_ops.detectors.decoder import DECODERS, Finder
from landmark_ops.detectors.decoders.activations import EDGE
from landmark_ops.detectors.decoders.domains import ANY_SIZE, COUNTS, FINDS, NUMBERS, POSITIVE, required
from landmark_ops.detectors.decoders.heads import heads, probabilities, shaped
from landmark_ops.detectors.decoders.parameters import number, numbers, whole_numbers
from landmark_ops.detectors.instances import Floats, Found, Outputs, Parameters, Size
from landmark_ops.detectors.nms import keep

N_KEYPOINTS = 5


def decode_retinaface(outputs: Outputs, size: Size, parameters: Parameters) -> list[Found]:
    """Faces of each input of the batch, best first.

    outputs: loc (n, A, 4), conf (n, A, 2) probabilities, landms (n, A, 10).
    parameters: strides; min_sizes, a list for each stride; variances (2,); score_threshold; nms_iou.
    centre = prior + loc·v₀·prior size, size = prior size·exp(v₁·loc), points like centres.
    """
    threshold, max_iou = number(parameters, "score_threshold"), number(parameters, "nms_iou")
    centre_variance, size_variance = numbers(parameters, "variances")
    priors = prior_boxes(size, whole_numbers(parameters, "strides"), numbers(parameters, "min_sizes"))
    named = heads(outputs, "loc", "conf", "landms")
    for head, name, width in zip(named, ("loc", "conf", "landms"), (4, 2, 2 * N_KEYPOINTS), strict=True):
        shaped(head, name, len(priors), width)
    probabilities(named[1], "conf")
    faces = []
    for loc, conf, landms in zip(*named, strict=True):
        seen = np.flatnonzero(conf[:, 1] > threshold)
        prior, offsets = priors[seen], loc[seen].astype(np.float64)
        centre = prior[:, :2] + offsets[:, :2] * centre_variance * prior[:, 2:]
        half = prior[:, 2:] * np.exp(offsets[:, 2:] * size_variance) / 2
        points = landms[seen].astype(np.float64).reshape(-1, N_KEYPOINTS, 2)
        keypoints = prior[:, None, :2] + points * centre_variance * prior[:, None, 2:]
        boxes = np.hstack([centre - half, centre + half])
        faces.append(keep(Found(boxes + EDGE, conf[seen, 1].astype(np.float64), keypoints + EDGE), max_iou))
    return faces


def prior_boxes(size: Size, strides: list[int], min_sizes: Floats) -> Floats:
    """(A, 4) centre x, y, width, height in edge-based input pixels: cells by row, the sizes of a cell side by side."""
    priors = []
    for stride, sides in zip(strides, min_sizes, strict=True):
        rows, columns = np.mgrid[: -(-size[1] // stride), : -(-size[0] // stride)]
        centres = (np.stack([columns, rows], axis=-1).reshape(-1, 1, 2) + 0.5) * stride
        shape = (len(centres), len(sides), 2)
        squares = np.broadcast_to(np.asarray(sides)[None, :, None], shape)
        priors.append(np.concatenate([np.broadcast_to(centres, shape), squares], axis=-1).reshape(-1, 4))
    return np.concatenate(priors)


DECODERS.register(
    Finder(
        name="retinaface",
        decode=decode_retinaface,
        parameters={
            "strides": required(COUNTS),
            "min_sizes": required(POSITIVE._replace(what="a list of sizes above 0 for each stride", depth=2)),
            "variances": required(NUMBERS),
            **FINDS,
            **ANY_SIZE,
        },
        outputs=("loc", "conf", "landms"),
    )
)

"""SSD face finders whose boxes are coded against prior boxes: RetinaFace, and Ultra-Light with the priors built in.

biubug6/Face-Detector-1MB-with-landmark utils/box_utils.py; Linzaer/Ultra-Light-Fast-Generic-Face-Detector-1MB.
"""

from __future__ import annotations

import numpy as np

from landmark_ops.detectors.decoders.activations import EDGE
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

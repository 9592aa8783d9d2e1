"""YuNet: face boxes and five points from twelve outputs, four at each of the strides 8, 16 and 32.

ShiqiYu/libfacedetection.train, mmdet/models/dense_heads/yunet_head.py.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from landmark_ops.detectors.decoder import DECODERS, Finder
from landmark_ops.detectors.decoders.activations import EDGE
from landmark_ops.detectors.decoders.domains import ANY_SIZE, COUNTS, FINDS, required
from landmark_ops.detectors.decoders.heads import heads, probabilities, shaped
from landmark_ops.detectors.decoders.parameters import number, whole_numbers
from landmark_ops.detectors.instances import Floats, Found, Outputs, Parameters, Size
from landmark_ops.detectors.nms import keep

N_KEYPOINTS = 5
WIDTHS = {"cls": 1, "obj": 1, "bbox": 4, "kps": 2 * N_KEYPOINTS}


def decode_yunet(outputs: Outputs, size: Size, parameters: Parameters) -> list[Found]:
    """Faces of each input of the batch, best first.

    outputs: cls, obj, bbox, kps, each for every stride in turn: cls_8, cls_16, cls_32, obj_8, …; (n, cells, 1 | 1 | 4
    | 10). parameters: strides, score_threshold, nms_iou. A cell's prior is its column and row times the stride,
    without a half. score = √(cls·obj). Points: image-left eye, image-right eye, nose, image-left and image-right
    mouth corner.
    """
    strides = whole_numbers(parameters, "strides")
    threshold, max_iou = number(parameters, "score_threshold"), number(parameters, "nms_iou")
    named = heads(outputs, *(f"{part}_{stride}" for part in WIDTHS for stride in strides))
    levels = [named[at :: len(strides)] for at in range(len(strides))]
    for level, stride in zip(levels, strides, strict=True):
        for head, (part, width) in zip(level, WIDTHS.items(), strict=True):
            shaped(head, f"{part}_{stride}", len(_cells(size, stride)), width)
        probabilities(level[0], f"cls_{stride}")
        probabilities(level[1], f"obj_{stride}")
    faces = []
    for image in range(len(named[0])):
        parts = [
            _level([head[image] for head in level], _cells(size, stride), stride, threshold)
            for level, stride in zip(levels, strides, strict=True)
        ]
        faces.append(keep(Found(*(np.concatenate(values) for values in zip(*parts, strict=True))), max_iou))
    return faces


def _level(heads: list[np.ndarray], cells: Floats, stride: int, threshold: float) -> Found:
    """The faces of one image at one stride; nearly all cells are left out at first glance: cls < score² has no face."""
    cls, obj, bbox, kps = heads
    likely = np.flatnonzero(cls[:, 0] >= threshold**2 * (1 - 1e-6))  # obj is 1 at most; a margin for rounding
    score = np.sqrt(_share(cls[likely, 0]) * _share(obj[likely, 0]))
    seen, score = likely[score > threshold], score[score > threshold]
    prior, offsets = cells[seen], bbox[seen].astype(np.float64)
    centre, side = offsets[:, :2] * stride + prior, np.exp(offsets[:, 2:]) * stride
    keypoints = kps[seen].astype(np.float64).reshape(-1, N_KEYPOINTS, 2) * stride + prior[:, None]
    boxes = np.hstack([centre - side / 2, centre + side / 2])
    return Found(boxes + EDGE, score, keypoints + EDGE)


def _share(values: np.ndarray) -> Floats:
    return np.clip(values.astype(np.float64), 0, 1)


@lru_cache(maxsize=64)
def _cells(size: Size, stride: int) -> Floats:
    """The priors of a level, (cells, 2) as x, y in input pixels: the same for all images of a size."""
    rows, columns = np.mgrid[: size[1] // stride, : size[0] // stride]
    return np.stack([columns.ravel(), rows.ravel()], axis=1) * float(stride)


DECODERS.register(
    Finder(name="yunet", decode=decode_yunet, parameters={"strides": required(COUNTS), **FINDS, **ANY_SIZE})
)

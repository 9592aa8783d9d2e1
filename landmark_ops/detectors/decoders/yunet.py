"""YuNet: face boxes and five points from twelve outputs, four at each of the strides 8, 16 and 32.

ShiqiYu/libfacedetection.train, mmdet/models/dense_heads/yunet_head.py.
"""

from __future__ import annotations

import numpy as np

from landmark_ops.detectors.decoders.activations import EDGE
from landmark_ops.detectors.decoders.parameters import number, whole_numbers
from landmark_ops.detectors.instances import Found, Outputs, Parameters, Size
from landmark_ops.detectors.nms import keep

N_KEYPOINTS = 5


def decode_yunet(outputs: Outputs, size: Size, parameters: Parameters) -> list[Found]:
    """Faces of each input of the batch, best first.

    outputs: cls, obj, bbox, kps, each for every stride in turn: cls_8, cls_16, cls_32, obj_8, …; (n, cells, 1 | 1 | 4
    | 10). parameters: strides, score_threshold, nms_iou. A cell's prior is its column and row times the stride,
    without a half. score = √(cls·obj). Points: image-left eye, image-right eye, nose, image-left and image-right
    mouth corner.
    """
    strides = whole_numbers(parameters, "strides")
    threshold, max_iou = number(parameters, "score_threshold"), number(parameters, "nms_iou")
    priors = np.concatenate([_cells(size, stride) for stride in strides])
    scales = np.concatenate([np.full(_n_cells(size, stride), float(stride)) for stride in strides])
    levels = len(strides)
    cls, obj, bbox, kps = (
        np.concatenate([np.asarray(head) for head in outputs[k * levels : (k + 1) * levels]], axis=1) for k in range(4)
    )
    confidences = np.sqrt(np.clip(cls[..., 0].astype(np.float64), 0, 1) * np.clip(obj[..., 0].astype(np.float64), 0, 1))

    faces = []
    for score, box, points in zip(confidences, bbox, kps, strict=True):
        seen = np.flatnonzero(score > threshold)
        prior, scale = priors[seen], scales[seen, None]
        offsets = box[seen].astype(np.float64)
        centre, side = offsets[:, :2] * scale + prior, np.exp(offsets[:, 2:]) * scale
        keypoints = points[seen].astype(np.float64).reshape(-1, N_KEYPOINTS, 2) * scale[..., None] + prior[:, None]
        boxes = np.hstack([centre - side / 2, centre + side / 2])
        faces.append(keep(Found(boxes + EDGE, score[seen], keypoints + EDGE), max_iou))
    return faces


def _n_cells(size: Size, stride: int) -> int:
    return (size[0] // stride) * (size[1] // stride)


def _cells(size: Size, stride: int) -> np.ndarray:
    rows, columns = np.mgrid[: size[1] // stride, : size[0] // stride]
    return np.stack([columns.ravel(), rows.ravel()], axis=1) * float(stride)

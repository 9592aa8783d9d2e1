"""Non-maximum suppression: of boxes that overlap, keep the best, or blend them.

Both ways visit boxes by falling score, ties in the order given, so the answer does not depend on the machine's sort.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from landmark_ops.detectors.instances import Floats, Found

#: Candidates that enter suppression at most, best first: bounds the quadratic work on an image full of responses.
MAX_CANDIDATES = 5000


def iou(box: Floats, boxes: Floats) -> Floats:
    """Intersection over union of one box (4,) with many (n, 4); 0 where a box has no area. Returns (n,)."""
    width = np.minimum(box[2], boxes[:, 2]) - np.maximum(box[0], boxes[:, 0])
    height = np.minimum(box[3], boxes[:, 3]) - np.maximum(box[1], boxes[:, 1])
    inter = np.clip(width, 0, None) * np.clip(height, 0, None)
    area = (box[2] - box[0]) * (box[3] - box[1])
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    union = area + areas - inter
    return np.divide(inter, union, out=np.zeros_like(inter), where=union > 0)


def by_score(scores: Floats) -> NDArray[np.intp]:
    """Indices of the scores from best to worst, ties in the order given, at most `MAX_CANDIDATES`."""
    return np.argsort(-scores, kind="stable")[:MAX_CANDIDATES]


def suppress(boxes: Floats, scores: Floats, max_iou: float) -> NDArray[np.intp]:
    """Indices of the boxes (n, 4) to keep, best first: a box goes if its overlap with a kept one exceeds `max_iou`."""
    order, kept = by_score(scores), []
    while len(order):
        best, rest = order[0], order[1:]
        kept.append(best)
        order = rest[iou(boxes[best], boxes[rest]) <= max_iou]
    return np.asarray(kept, dtype=np.intp)


def keep(found: Found, max_iou: float) -> Found:
    """`suppress` applied to boxes, scores and keypoints alike."""
    kept = suppress(found.boxes, found.scores, max_iou)
    return Found(found.boxes[kept], found.scores[kept], found.keypoints[kept])


def blend(found: Found, max_iou: float) -> Found:
    """Weighted suppression: a group that overlaps its best box becomes one, averaged by score, with the best score.

    As in MediaPipe's NonMaxSuppressionCalculator (WEIGHTED).
    """
    order = by_score(found.scores)
    boxes, scores, keypoints = [], [], []
    while len(order):
        best = order[0]
        overlaps = iou(found.boxes[best], found.boxes[order]) > max_iou
        overlaps[0] = True  # a box without area overlaps nothing, not even itself
        group, order = order[overlaps], order[~overlaps]
        weights = found.scores[group] / found.scores[group].sum()
        boxes.append(weights @ found.boxes[group])
        keypoints.append(np.tensordot(weights, found.keypoints[group], axes=1))
        scores.append(found.scores[best])
    if not boxes:
        return found
    return Found(np.stack(boxes), np.asarray(scores), np.stack(keypoints))

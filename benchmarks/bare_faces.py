"""Faces and 68 points by nothing but tarfile, OpenCV and onnxruntime: the loop one would write for a single run.

Decode, shrink and pad, YuNet, suppression, crop, 68 points, in the batch the caller names; no failures, no tables, no
second look at anything. The least that has to be done for what the flow's workers answer.
"""

from __future__ import annotations

import tarfile
import time
from functools import cache
from typing import Any, NamedTuple

import cv2
import numpy as np
import onnxruntime
from numpy.typing import NDArray

Floats = NDArray[np.float32]

LONGER, MULTIPLE, CROP = 640, 32, 112
SCORE, IOU = 0.6, 0.45
STRIDES = (8, 16, 32)
HEADS = [f"{head}_{stride}" for head in ("cls", "obj", "bbox", "kps") for stride in STRIDES]
MEAN: Floats = np.array([122.782, 117.001, 104.298], np.float32)


class Seen(NamedTuple):
    """A picture, its YuNet input, and the pixels of it per pixel of that."""

    picture: NDArray[np.uint8]
    small: NDArray[np.uint8]
    scale: float


def faces_of_tar(tar: str, models: tuple[str, str], batch: int) -> tuple[int, int]:
    """How many pictures a tar has, and how many faces with 68 points were found in them."""
    cv2.setNumThreads(1)
    find, locate = session(models[0]), session(models[1])
    pictures = faces = 0
    waiting: list[Seen] = []
    with tarfile.open(tar) as archive:
        for member in archive:
            file = archive.extractfile(member)
            assert file is not None
            waiting.append(opened(file.read()))
            pictures += 1
            if len(waiting) == batch:
                faces += detect(waiting, find, locate)
                waiting.clear()
    return pictures, faces + detect(waiting, find, locate)


def cpu_of_tar(tar: str, models: tuple[str, str], batch: int) -> float:
    """CPU seconds of this process for one tar."""
    before = time.process_time()
    faces_of_tar(tar, models, batch)
    return time.process_time() - before


@cache
def session(path: str) -> Any:
    """An onnxruntime session on one thread, everything else as onnxruntime has it."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def opened(data: bytes) -> Seen:
    """Decode, shrink to 640, pad with black to the right and below."""
    picture = np.asarray(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR), np.uint8)
    height, width = picture.shape[:2]
    scale = min(1.0, LONGER / max(width, height))
    w, h = round(width * scale), round(height * scale)
    small = np.zeros((-(-h // MULTIPLE) * MULTIPLE, -(-w // MULTIPLE) * MULTIPLE, 3), np.uint8)
    # means over 2 × 2 pixels where it is half the size, as the flow does it
    small[:h, :w] = cv2.resize(picture, (w, h), interpolation=cv2.INTER_AREA)
    return Seen(picture, small, 1 / scale)


def detect(seen: list[Seen], find: Any, locate: Any) -> int:
    """Faces found in some pictures of one size."""
    if not seen:
        return 0
    batch = np.ascontiguousarray(np.stack([one.small for one in seen]).transpose(0, 3, 1, 2), np.float32)
    outputs = find.run(HEADS, {"input": batch})
    crops = []
    for at, one in enumerate(seen):
        for x, y, w, h in boxes_of([output[at] for output in outputs], batch.shape[3], batch.shape[2]) * one.scale:
            side = max(w, h)
            to_crop = np.array([[CROP / side, 0, 0], [0, CROP / side, 0]])
            to_crop[:, 2] = CROP / 2 - CROP / side * np.array([x + w / 2, y + h / 2])
            crops.append(cv2.warpAffine(one.picture, to_crop, (CROP, CROP), flags=cv2.INTER_LINEAR))
    if not crops:
        return 0
    pixels = np.stack(crops)[..., ::-1].astype(np.float32)
    points = locate.run(None, {"image": np.ascontiguousarray(((pixels - MEAN) / 255).transpose(0, 3, 1, 2))})[0]
    return len(points)


def boxes_of(outputs: list[Floats], width: int, height: int) -> NDArray[np.float64]:
    """(n, 4) x, y, width, height in input pixels, after suppression."""
    boxes, scores = [], []
    for level, stride in enumerate(STRIDES):
        cls, obj, bbox = (outputs[head * len(STRIDES) + level] for head in range(3))
        score = np.sqrt(np.clip(cls[:, 0], 0, 1) * np.clip(obj[:, 0], 0, 1))
        at = np.flatnonzero(score > SCORE)
        cells = np.stack([at % (width // stride), at // (width // stride)], axis=1)
        sides = np.exp(bbox[at, 2:]) * stride
        boxes.append(np.hstack([(cells + bbox[at, :2]) * stride - sides / 2, sides]))
        scores.append(score[at])
    together = np.concatenate(boxes)
    kept = cv2.dnn.NMSBoxes(together.tolist(), np.concatenate(scores).tolist(), SCORE, IOU)
    return np.asarray(together[np.asarray(kept, np.intp).ravel()], np.float64)

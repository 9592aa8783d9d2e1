"""The instances of all images together, handed from the find stage to the nets that read points."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from landmark_ops.detectors.crops import Image
from landmark_ops.detectors.instances import Floats, unknown
from landmark_ops.detectors.pipeline_spec import Pipeline
from landmark_ops.errors import InputError


class Cast(NamedTuple):
    """The instances of all images together: owner (n,) is the image's index, given whether a caller gave the boxes."""

    owner: NDArray[np.intp]
    boxes: Floats
    scores: Floats
    keypoints: Floats
    given: bool

    def select(self, keep: NDArray[np.bool_]) -> Cast:
        """Some of them, in the same order. `keep`: (n,)."""
        return Cast(self.owner[keep], self.boxes[keep], self.scores[keep], self.keypoints[keep], self.given)


def given_cast(chosen: Pipeline, images: Sequence[Image], boxes: Sequence[Floats | None]) -> Cast:
    """A caller's own boxes as instances without points.

    Raises InputError for boxes of another form, and a pipeline that reads no points.
    """
    if not chosen.steps:
        raise InputError(
            f"pipeline {chosen.name} only finds boxes: with boxes of your own choose one that reads points"
        )
    if len(boxes) != len(images):
        raise InputError(
            f"boxes for {len(boxes)} images, got {len(images)} images: give one (n, 4) array, or None, per image"
        )
    arrays = [_checked_boxes(given, i) for i, given in enumerate(boxes)]
    owner = np.repeat(np.arange(len(images)), [len(array) for array in arrays])
    together = np.concatenate([*arrays, np.empty((0, 4))])
    return Cast(owner, together, unknown(len(together)), unknown(len(together), 0, 2), True)


def _checked_boxes(given: Floats | None, image: int) -> Floats:
    array = np.empty((0, 4)) if given is None or len(given) == 0 else np.asarray(given, dtype=np.float64)
    if array.ndim != 2 or array.shape[1] != 4:
        raise InputError(f"boxes of image {image} have shape {array.shape}: give (n, 4) as x0, y0, x1, y1 in pixels")
    bad = np.flatnonzero(~(np.isfinite(array).all(axis=1) & (array[:, 2:] > array[:, :2]).all(axis=1)))
    if len(bad):
        raise InputError(
            f"box {bad[0]} of image {image} is {array[bad[0]].tolist()}: needs finite x0 < x1 and y0 < y1 "
            "(corners, not width and height)"
        )
    return array

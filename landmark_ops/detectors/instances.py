"""Values passed between the stages of detection: boxes found, points, and the finished instances.

Coordinates are pixels with pixel centres at integers, so an image of width w spans -0.5 to w - 0.5. `Found` and
`Points` leave a decoder in pixels of the network's input; a pipeline maps them back through the inverse of the affine
that made the input. `Instances` are in pixels of the upright original image. NaN means that the network does not give
the value.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Outputs = Sequence[NDArray[np.generic]]
Size = tuple[int, int]
"""Width and height of a network's input in pixels."""

Parameters = Mapping[str, object]
"""A spec's numbers for its decoder: thresholds, strides, anchors."""


class Found(NamedTuple):
    """What a finder saw in one input: boxes (n, 4) as x0, y0, x1, y1, scores (n,), keypoints (n, K, 2), best first."""

    boxes: Floats
    scores: Floats
    keypoints: Floats


class Points(NamedTuple):
    """The points of n crops.

    keypoints: (n, K, 3) x, y and z in crop pixels, z relative to the net's own origin and NaN where there is none.
    scores, visible: (n, K) in 0..1 or NaN.
    presence: (n,) how sure the net is that the crop holds its subject at all, in 0..1 or NaN.
    extra: named (n,) values, such as right_hand or yaw.
    """

    keypoints: Floats
    scores: Floats
    visible: Floats
    presence: Floats
    extra: dict[str, Floats]

    def select(self, keep: NDArray[np.bool_]) -> Points:
        """Those of some crops, in the same order. `keep`: (n,)."""
        extra = {key: values[keep] for key, values in self.extra.items()}
        return Points(self.keypoints[keep], self.scores[keep], self.visible[keep], self.presence[keep], extra)

    def without(self, absent: NDArray[np.bool_]) -> Points:
        """The same with those of absent parts NaN; how (un)sure the net was stays. `absent`: (n,)."""
        hidden = [np.where(absent.reshape(-1, *[1] * (array.ndim - 1)), np.nan, array) for array in self[:3]]
        return Points(hidden[0], hidden[1], hidden[2], self.presence, self.extra)


class Instances(NamedTuple):
    """The instances of one image, best first, or in the order of the caller's own boxes.

    boxes: (n, 4) x0, y0, x1, y1 of the finder, the caller, or (coco-17) the points; may reach beyond the image.
    scores: (n,) the finder's score; the landmark net's where no finder ran.
    keypoints: (n, K, 3) x, y, z in original pixels; keypoint_scores, visible: (n, K). NaN where not told.
    extra: named (n,) values. model: names of the specs that made the rows, in the order they ran. failure: why the
    picture could not be read, with no instance then.
    """

    boxes: Floats
    scores: Floats
    keypoints: Floats
    keypoint_scores: Floats
    visible: Floats
    extra: dict[str, Floats]
    model: tuple[str, ...]
    failure: str | None = None

    def emptied(self, failure: str) -> Instances:
        """No instance of the same kind, for a picture that could not be read."""
        return self._replace(
            boxes=self.boxes[:0],
            scores=self.scores[:0],
            keypoints=self.keypoints[:0],
            keypoint_scores=self.keypoint_scores[:0],
            visible=self.visible[:0],
            extra={name: values[:0] for name, values in self.extra.items()},
            failure=failure,
        )

    def scaled(self, scale: float) -> Instances:
        """The same instances in pixels of an original of which this image was decoded at `scale` pixels per pixel."""
        boxes, keypoints = (self.boxes + 0.5) / scale - 0.5, self.keypoints.copy()
        keypoints[..., :2] = (keypoints[..., :2] + 0.5) / scale - 0.5
        keypoints[..., 2] /= scale
        return self._replace(boxes=boxes, keypoints=keypoints)


def unknown(*shape: int) -> Floats:
    """NaN in the given shape: a value that this network does not tell."""
    return np.full(shape, np.nan)


def nothing_found(n_keypoints: int) -> Found:
    """A `Found` without instances."""
    return Found(np.empty((0, 4)), np.empty(0), np.empty((0, n_keypoints, 2)))

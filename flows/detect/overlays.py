"""The sample of pictures that a worker draws for the report: chosen by chance, drawn once its shard is done.

A picture that cannot be drawn is only counted in the report; its rows are kept.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from landmark_ops.detectors.instances import Instances
from landmark_ops.images.decode import Decoded
from landmark_ops.images.encode import shrunk, to_jpeg
from landmark_ops.keypoints.drawing import Drawn, overlay
from landmark_ops.keypoints.landmark_sets import LandmarkSet

OVERLAY_SIDE = 900  # pixels of an overlay's longer side
MAX_WAITING = 16  # pictures held as pixels, 2.4 MB each: beyond, they are drawn before it is known which will stay


class Picture(NamedTuple):
    """An overlay for the report; the sample keeps those of lowest `draw`, a hash of the image id."""

    draw: int
    caption: str
    jpeg: bytes


class Waiting(NamedTuple):
    """A picture, no larger than it will be shown, and what was found in it; `scale`: its pixels per original pixel."""

    draw: int
    caption: str
    image: NDArray[np.uint8]
    scale: float
    found: Instances


class Overlays:
    """The `wanted` pictures with instances whose draws are the lowest of those offered.

    Drawing and encoding take half as long as detecting faces, and many a picture is replaced before its shard ends: so
    pictures wait, shrunk, until `pictures` is called. `points`: the set whose edges are drawn. `undrawn` counts, by
    reason, the pictures that could not be drawn.
    """

    def __init__(self, points: LandmarkSet | None, wanted: int) -> None:
        self.points, self.wanted = points, wanted
        self.undrawn: Counter[str] = Counter()
        self._kept: list[Waiting | Picture] = []

    def offer(self, image_id: str, picture: Decoded, found: Instances) -> None:
        """Take a picture into the sample if its draw is low enough; one without instances never is."""
        if not len(found.boxes) or not self.wanted:
            return
        draw = int.from_bytes(hashlib.sha256(image_id.encode()).digest()[:8], "big")
        if len(self._kept) == self.wanted:
            if draw >= self._kept[-1].draw:
                return
            self._kept.pop()
        image, shrink = shrunk(picture.image, OVERLAY_SIDE)
        # A copy where nothing was shrunk: a view would hold on to whatever larger array it is part of.
        image = image.copy() if image is picture.image else image
        self._kept.append(Waiting(draw, image_id, image, picture.scale * shrink, found))
        if sum(isinstance(kept, Waiting) for kept in self._kept) > MAX_WAITING:
            self.pictures()
        self._kept.sort(key=lambda kept: kept.draw)

    def pictures(self) -> list[Picture]:
        """The sample, drawn, lowest draw first, without those that cannot be drawn."""
        drawn: list[Waiting | Picture] = []
        for kept in self._kept:
            try:
                drawn.append(kept if isinstance(kept, Picture) else self._drawn(kept))
            except Exception as error:  # of any kind: the rows of this picture are right, and the run goes on
                self.undrawn[f"{type(error).__name__}: {error}".splitlines()[0]] += 1
        self._kept = drawn
        return [kept for kept in drawn if isinstance(kept, Picture)]

    def _drawn(self, waiting: Waiting) -> Picture:
        """The picture with boxes, points and edges, as JPEG."""
        found = waiting.found
        drawn = [
            Drawn(found.keypoints[i], found.boxes[i], found.visible[i], f"{found.scores[i]:.2f}")
            for i in range(len(found.boxes))
        ]
        image = overlay(waiting.image, drawn, self.points, scale=waiting.scale)
        return Picture(waiting.draw, waiting.caption, to_jpeg(image, OVERLAY_SIDE))

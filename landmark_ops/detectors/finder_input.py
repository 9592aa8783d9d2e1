"""Whole images brought to a finder's input, in true batches, and what it found brought back to image pixels.

Images of any size go through one affine each. A net with a fixed input takes them letterboxed or stretched. A net that
takes any size gets the image as it is, or shrunk to `max_side`, with black to the right and below up to the next
multiple; images that end in the same size share a batch, so an input depends on its own image alone and no result on
what it was batched with.

max_side (spec parameter, 640 for YuNet and RetinaFace): the longer side at most. YuNet was trained on faces of about
10 to 300 px: a face that fills half of a 3000 px picture is one face at 640 and eight fragments at full size, and 640
takes a quarter of the time of 1280 (12 ms against 48 on one core). Raise it for faces smaller than 1/64 of a picture.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from landmark_ops.detectors.crops import per_run
from landmark_ops.detectors.decoders.parameters import number
from landmark_ops.detectors.instances import Floats, Found, Parameters, Size
from landmark_ops.detectors.spec import InputSpec
from landmark_ops.images.geometry import Affine, crop, letterbox, stretch


def fit(wanted: InputSpec, width: int, height: int, parameters: Parameters) -> tuple[Affine, Size]:
    """The affine from an image to a finder's input, and that input's size: a function of the image's size alone."""
    if wanted.width is not None and wanted.height is not None:
        size = (wanted.width, wanted.height)
        if wanted.fit == "stretch":
            return stretch(width, height, *size), size
        if wanted.sampling == "mediapipe":
            side = max(width / size[0], height / size[1])
            return crop(((width - 1) / 2, (height - 1) / 2), side * size[0], side * size[1], 0.0, *size), size
        return letterbox(width, height, *size, centre=wanted.fit != "letterbox_topleft"), size
    scale = min(1.0, number(parameters, "max_side", math.inf) / max(width, height))
    return shrink(width, height, scale, wanted.multiple)


def shrink(width: int, height: int, scale: float, multiple: int = 1) -> tuple[Affine, Size]:
    """The affine of an image scaled to whole pixels in the top left corner, and the size that holds it."""
    columns, rows = max(1, round(width * scale)), max(1, round(height * scale))
    return stretch(width, height, columns, rows), (-(-columns // multiple) * multiple, -(-rows // multiple) * multiple)


def same_size(sizes: Sequence[Size], batch: int, least: int = 1) -> list[list[int]]:
    """Indices grouped by equal size, as many in a group as go through a net at once (`per_run`), in the order given."""
    groups: dict[Size, list[list[int]]] = {}
    for i, size in enumerate(sizes):
        chunks = groups.setdefault(size, [[]])
        if len(chunks[-1]) == per_run(size, batch, least):
            chunks.append([])
        chunks[-1].append(i)
    return [chunk for chunks in groups.values() for chunk in chunks]


def mapped_back(found: Found, to_input: Affine) -> Found:
    """Boxes and points from input pixels to image pixels; the affine must not turn, as boxes stay upright."""
    back = to_input.inverse()
    corners = back.apply(found.boxes.reshape(-1, 2, 2)).reshape(-1, 4)
    keypoints: Floats = back.apply(found.keypoints)
    return Found(corners, found.scores, keypoints)

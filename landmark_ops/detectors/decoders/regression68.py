"""Points regressed directly as shares of the input's sides: face-api's 68, and any net of that kind."""

from __future__ import annotations

import numpy as np

from landmark_ops.detectors.decoder import DECODERS, Locator
from landmark_ops.detectors.decoders.domains import LOCATES, PIXEL_OFFSET
from landmark_ops.detectors.decoders.heads import heads
from landmark_ops.detectors.decoders.parameters import number
from landmark_ops.detectors.instances import Outputs, Parameters, Points, Size, unknown
from landmark_ops.errors import InputError


def decode_regression68(outputs: Outputs, size: Size, parameters: Parameters) -> Points:
    """The points of each crop: one output (n, 2K) as x, y in turn, in 0..1 of the input.

    parameters: pixel_offset, added to the pixels: 0 where the net's 0 is a pixel's centre (default), -0.5 where it is
    the edge.

    Raises InputError for an odd number of values.
    """
    values = heads(outputs, "points")[0].astype(np.float64)
    n, width = len(values), int(np.prod(values.shape[1:]))  # n may be 0: an image without faces
    if width % 2:
        raise InputError(f"the net gives {width} values per crop: decoder regression68 needs x, y pairs")
    pairs = values.reshape(n, width // 2, 2)
    keypoints = unknown(n, pairs.shape[1], 3)
    keypoints[..., :2] = pairs * size + number(parameters, "pixel_offset", 0.0)
    return Points(keypoints, unknown(*pairs.shape[:2]), unknown(*pairs.shape[:2]), unknown(n), {})


DECODERS.register(Locator(name="regression68", decode=decode_regression68, parameters={**PIXEL_OFFSET, **LOCATES}))

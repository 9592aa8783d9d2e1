"""Pictures and regions brought to a net's input, one bit-exact warp each.

MediaPipe's and Google's nets were given plain bilinear samples, in training and since: with area-correct ones their
scores fall (the 30-px face of a 640-px picture drops from 0.66 to below 0.6 and is lost). Their specs say
`bilinear_up_to`: up to this minification samples are plain, beyond it, where plain sampling would be mostly noise, they
are area-correct, as they are for every other net from 2 on.

`sampling: mediapipe` is the grid of MediaPipe's ImageToTensorCalculator: pixel u of the input shows what lies at its
corner, u · side / S, not at its middle, (u + ½) · side / S; positions are OpenCV's, and finders' letterboxes are not
rounded to whole pixels. Where points lie follows from the middles as ever. On 27 pictures whose bodies mostly leave the
frame, in MediaPipe's own regions, the worst visible point of BlazePose lies 0.025 of the crop's side from MediaPipe's
with its grid, and 0.130 with the middles: the nets react to half a pixel.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from landmark_ops.detectors.decoders.parameters import number
from landmark_ops.detectors.instances import Parameters, Size
from landmark_ops.detectors.session import chosen_providers
from landmark_ops.detectors.spec import InputSpec
from landmark_ops.images.geometry import Affine
from landmark_ops.images.resample import BLACK, warp_into, warp_plain

Image = NDArray[np.uint8]

#: Pixels of one run on the CPU, at most. Small crops gain a sixth by going together; beyond, batches only cost, for
#: their maps no longer fit the caches: YuNet at 640 × 384 takes 7.6 ms an image alone, 8.1 by twos, 9.5 by fours; palm
#: detection (192²) 15.2 alone, 14.9 by twos, 16.9 by fourteens; 68 points (112²) 1.3 alone, 1.1 by fours.
CPU_PIXELS = 2**17

#: Corners of pixels taken for their middles, in the input and in the picture.
CORNERS = (Affine([[1, 0, 0.5], [0, 1, 0.5]]), Affine([[1, 0, -0.5], [0, 1, -0.5]]))


def per_run(size: Size, batch: int, least: int = 1) -> int:
    """How many inputs of this size go through a net at once: `batch`, on the CPU within `CPU_PIXELS`, at least one.

    `least`: the size of a net's fixed batch, which costs the same however many of its places are filled.
    """
    if chosen_providers() == ("CPUExecutionProvider",):
        batch = max(1, min(batch, CPU_PIXELS // (size[0] * size[1])))
    return -(-batch // least) * least


def inputs(
    images: Sequence[Image], to_input: Sequence[Affine], size: Size, wanted: InputSpec, parameters: Parameters
) -> Image:
    """(n, h, w, 3) uint8: image i through affine i; beyond it black, or its nearest colour, as `wanted.border` says."""
    plain = number(parameters, "bilinear_up_to", 0.0)
    replicate, corners = wanted.border == "replicate", wanted.sampling == "mediapipe"
    out = np.empty((len(images), size[1], size[0], 3), np.uint8)
    for target, image, affine in zip(out, images, to_input, strict=True):
        antialias = affine.scale * plain < 1
        if corners:
            seen = CORNERS[0].compose(affine).compose(CORNERS[1])
            warp_plain(target, image, seen, replicate=replicate, antialias=antialias)
        else:
            warp_into(target, image, affine, fill=None if replicate else BLACK, antialias=antialias)
    return out

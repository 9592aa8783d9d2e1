"""The stage that finds: the finder of a pipeline on all images, a second one beside it, or MTCNN's cascade."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from landmark_ops.detectors.cascade import Nets, find_mtcnn
from landmark_ops.detectors.cast import Cast
from landmark_ops.detectors.crops import Image, inputs
from landmark_ops.detectors.decoder import finder
from landmark_ops.detectors.decoders.parameters import number
from landmark_ops.detectors.finder_input import fit, mapped_back, same_size
from landmark_ops.detectors.instances import Found, Parameters, unknown
from landmark_ops.detectors.nms import iou
from landmark_ops.detectors.pipeline_spec import Pipeline
from landmark_ops.detectors.session import Session
from landmark_ops.detectors.thresholds import Settings

#: From a model's name to its session; `functools.cache` around `load_session` makes one.
Sessions = Callable[[str], Session]


def find(images: Sequence[Image], session: Session, parameters: Parameters, batch: int) -> list[Found]:
    """The finder's instances in each image, in image pixels, best first."""
    fits = [fit(session.spec.input, image.shape[1], image.shape[0], parameters) for image in images]
    decode = finder(session.spec.decoder, session.spec.name)
    found: list[Found | None] = [None] * len(images)
    for members in same_size([size for _, size in fits], batch, session.spec.input.max_batch or 1):
        to_input, size = [fits[i][0] for i in members], fits[members[0]][1]
        pixels = session.prepare(inputs([images[i] for i in members], to_input, size, session.spec.input, parameters))
        for i, affine, seen in zip(members, to_input, decode(session.run(pixels), size, parameters), strict=True):
            found[i] = mapped_back(seen, affine)
    return [seen for seen in found if seen is not None]


def find_cast(chosen: Pipeline, images: Sequence[Image], sessions: Sessions, settings: Settings, batch: int) -> Cast:
    """What the pipeline's finder sees in all images together; the whole images where it has none."""
    if chosen.find is None:  # the whole image is the one region
        sizes = np.array([image.shape[1::-1] for image in images], dtype=np.float64).reshape(-1, 2)
        boxes = np.concatenate([np.full_like(sizes, -0.5), sizes - 0.5], axis=1)
        return Cast(np.arange(len(images)), boxes, unknown(len(images)), unknown(len(images), 0, 2), False)
    found: list[Found]
    session = sessions(chosen.find)
    parameters = {**session.spec.parameters, **settings.find}
    if chosen.refine is None:
        found = find(images, session, parameters, batch)
        if chosen.also is not None:
            second = sessions(chosen.also)
            further = find(images, second, {**second.spec.parameters, **settings.find}, batch)
            found = [_united(*both, number(parameters, "nms_iou")) for both in zip(found, further, strict=True)]
    else:
        middle, third = (sessions(name) for name in chosen.refine)
        last = {key: value for key, value in settings.find.items() if key in ("score_threshold", "nms_iou")}
        first = {**session.spec.parameters, **{k: v for k, v in settings.find.items() if k not in last}}
        nets = Nets((session, middle, third), (first, middle.spec.parameters, {**third.spec.parameters, **last}))
        found = find_mtcnn(images, nets, batch)
    owner = np.repeat(np.arange(len(images)), [len(seen.boxes) for seen in found])
    if not found:
        return Cast(owner, unknown(0, 4), unknown(0), unknown(0, 0, 2), False)
    boxes, scores, keypoints = (np.concatenate(values) for values in zip(*found, strict=True))
    return Cast(owner, boxes, scores, keypoints, False)


def _united(first: Found, further: Found, max_iou: float) -> Found:
    """The first finder's instances, then those of the second that overlap none of them."""
    new = [i for i, box in enumerate(further.boxes) if not (iou(box, first.boxes) > max_iou).any()]
    return Found(*(np.concatenate([a, b[new]]) for a, b in zip(first, further, strict=True)))

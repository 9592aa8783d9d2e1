"""Run a pipeline on many images: find → crop → points → map back, crops of all images together in true batches.

The result for an image does not depend on the other images, their order or the batch size: every input of a net is
made from its own image alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from landmark_ops.detectors.cast import Cast, given_cast
from landmark_ops.detectors.crops import Image
from landmark_ops.detectors.decoders.parameters import number
from landmark_ops.detectors.find_stage import Sessions, find_cast
from landmark_ops.detectors.instances import Floats, Instances, Points, unknown
from landmark_ops.detectors.locate_stage import locate
from landmark_ops.detectors.pipeline_spec import Pipeline
from landmark_ops.detectors.pipelines import get_pipeline
from landmark_ops.detectors.session import Session
from landmark_ops.detectors.thresholds import Settings, check_thresholds
from landmark_ops.errors import InputError


def run_pipeline(
    pipeline: str | Pipeline,
    images: Sequence[Image],
    *,
    sessions: Sessions,
    boxes: Sequence[Floats | None] | None = None,
    thresholds: Mapping[str, float] | None = None,
    batch: int | None = None,
) -> list[Instances]:
    """The instances of each image.

    images: (H, W, 3) RGB uint8, any sizes. sessions: the session of a model by name. boxes: for each image (n, 4) in
    its pixels or None for no box; given, nothing is searched, every box is answered in the order given, and
    `presence` drops none unless set here. thresholds: score, nms_iou, max_side, min_face_px of the finder, presence
    of the point nets, in place of the specs'. batch: images or crops per run of a net, at most. Raises InputError for
    an unknown pipeline or threshold, images or boxes of the wrong form.
    """
    chosen = pipeline if isinstance(pipeline, Pipeline) else get_pipeline(pipeline)
    settings = check_thresholds(
        chosen, thresholds or {}, lambda name: sessions(name).spec, boxes_given=boxes is not None
    )
    size = chosen.batch if batch is None else batch
    if isinstance(size, bool) or not isinstance(size, int | np.integer) or size < 1:
        raise InputError(f"batch={size!r}: give a whole number from 1")
    _check_images(images)
    if len(images) == 0:
        return []
    cast = find_cast(chosen, images, sessions, settings, size) if boxes is None else given_cast(chosen, images, boxes)
    if not chosen.steps:
        return _split(chosen, cast, None, len(images))
    located: dict[str, Points] = {}
    for step in chosen.steps:
        before = located[step.of].keypoints if step.of else cast.keypoints
        points = locate(step, images, cast, before, sessions(step.model), settings, size)
        presence = points.presence
        if step is chosen.steps[0]:
            if not cast.given or "presence_threshold" in settings.step:
                keep = ~(presence < _presence_threshold(sessions(step.model), settings))
                cast, points = cast.select(keep), points.select(keep)
        else:
            absent = presence < _presence_threshold(sessions(step.model), settings)
            points = points.without(absent)
        located[step.name] = points
    return _split(chosen, cast, located, len(images))


def _presence_threshold(session: Session, settings: Settings) -> float:
    return number({**session.spec.parameters, **settings.step}, "presence_threshold", 0.0)


def _split(chosen: Pipeline, cast: Cast, located: dict[str, Points] | None, n_images: int) -> list[Instances]:
    """The instances of each image: the points of all steps side by side, their order within an image kept."""
    n = len(cast.boxes)
    boxes, scores, extra = cast.boxes, cast.scores, dict[str, Floats]()
    if located is None:
        keypoints = unknown(n, chosen.points, 3)
        if n:
            keypoints[..., :2] = cast.keypoints
        marks = visible = unknown(n, chosen.points)
    else:
        parts = [located[step.name] for step in chosen.steps]
        keypoints, marks, visible = (np.concatenate([part[k] for part in parts], axis=1) for k in range(3))
        for i, (step, part) in enumerate(zip(chosen.steps, parts, strict=True)):
            prefix = "" if i == 0 else f"{step.name}_"
            extra |= {f"{prefix}{key}": values for key, values in {"presence": part.presence, **part.extra}.items()}
        if np.isnan(scores).all():  # no finder ran
            scores = parts[0].presence
        if chosen.boxes == "points" and not cast.given and n:
            boxes = np.concatenate(
                [np.nanmin(keypoints[..., :2], axis=1), np.nanmax(keypoints[..., :2], axis=1)], axis=1
            )
    if keypoints.shape[1] != chosen.points:
        raise InputError(
            f"pipeline {chosen.name}: its nets give {keypoints.shape[1]} points, points says {chosen.points}"
        )
    places = [np.flatnonzero(cast.owner == i) for i in range(n_images)]
    return [
        Instances(
            boxes[at],
            scores[at],
            keypoints[at],
            marks[at],
            visible[at],
            {key: values[at] for key, values in extra.items()},
            chosen.models if not cast.given else tuple(dict.fromkeys(step.model for step in chosen.steps)),
        )
        for at in places
    ]


def _check_images(images: Sequence[Image]) -> None:
    for i, image in enumerate(images):
        if np.ma.is_masked(image):
            raise InputError(f"image {i} has masked pixels: fill them, such as image.filled(0)")
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
            raise InputError(f"image {i} has shape {image.shape} and type {image.dtype}: give (H, W, 3) RGB uint8")

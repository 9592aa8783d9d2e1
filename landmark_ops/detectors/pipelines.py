"""Run a pipeline on many images: find → crop → points → map back, crops of all images together in true batches.

What comes out for an image does not depend on the other images, their order or the batch size: every input of a net is
made from its own image alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from landmark_ops.detectors.cascade import Nets, find_mtcnn
from landmark_ops.detectors.decoder import locator
from landmark_ops.detectors.decoders.parameters import number
from landmark_ops.detectors.finding import find
from landmark_ops.detectors.instances import Floats, Found, Instances, Points, unknown
from landmark_ops.detectors.nms import iou
from landmark_ops.detectors.pipeline_spec import Pipeline, RegionRule, Step, get_pipeline
from landmark_ops.detectors.regions import affines, black_bars, clip, regions
from landmark_ops.detectors.sampling import Image, inputs, per_run
from landmark_ops.detectors.session import Session
from landmark_ops.detectors.spec import ModelSpec
from landmark_ops.errors import InputError

#: From a model's name to its session; `functools.cache` around `load_session` makes one.
Sessions = Callable[[str], Session]

#: What a caller may set, and the parameter of which stage's specs it replaces.
SETTINGS = {
    "score": ("find", "score_threshold"),
    "nms_iou": ("find", "nms_iou"),
    "max_side": ("find", "max_side"),
    "min_face_px": ("find", "min_face_px"),
    "presence": ("step", "presence_threshold"),
}

#: Of those in pixels; the others are shares. A finder's input below 32 px shows no face, above 8192 fits no memory.
LIMITS = {"max_side": (32.0, 8192.0), "min_face_px": (1.0, 8192.0)}


class Cast(NamedTuple):
    """The instances of all images together: owner (n,) is the image's index, given whether a caller gave the boxes."""

    owner: NDArray[np.intp]
    boxes: Floats
    scores: Floats
    keypoints: Floats
    given: bool


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
    cast = _find(chosen, images, sessions, settings, size) if boxes is None else _given(chosen, images, boxes)
    if not chosen.steps:
        return _split(chosen, cast, None, len(images))
    located: dict[str, Points] = {}
    for step in chosen.steps:
        before = located[step.of].keypoints if step.of else cast.keypoints
        points = _locate(step, images, cast, before, sessions(step.model), settings, size)
        presence = points.presence
        if step is chosen.steps[0]:
            if not cast.given or "presence_threshold" in settings["step"]:
                keep = ~(presence < _presence_threshold(sessions(step.model), settings))
                cast, points = _select(cast, keep), _select_points(points, keep)
        else:
            absent = presence < _presence_threshold(sessions(step.model), settings)
            points = _without(points, absent)
        located[step.name] = points
    return _split(chosen, cast, located, len(images))


def _find(
    chosen: Pipeline, images: Sequence[Image], sessions: Sessions, settings: dict[str, dict[str, float]], batch: int
) -> Cast:
    if chosen.find is None:  # the whole image is the one region
        sizes = np.array([image.shape[1::-1] for image in images], dtype=np.float64).reshape(-1, 2)
        boxes = np.concatenate([np.full_like(sizes, -0.5), sizes - 0.5], axis=1)
        return Cast(np.arange(len(images)), boxes, unknown(len(images)), unknown(len(images), 0, 2), False)
    found: list[Found]
    session = sessions(chosen.find)
    parameters = {**session.spec.parameters, **settings["find"]}
    if chosen.refine is None:
        found = find(images, session, parameters, batch)
        if chosen.also is not None:
            second = sessions(chosen.also)
            further = find(images, second, {**second.spec.parameters, **settings["find"]}, batch)
            found = [_united(*both, number(parameters, "nms_iou")) for both in zip(found, further, strict=True)]
    else:
        middle, third = (sessions(name) for name in chosen.refine)
        last = {key: value for key, value in settings["find"].items() if key in ("score_threshold", "nms_iou")}
        first = {**session.spec.parameters, **{k: v for k, v in settings["find"].items() if k not in last}}
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


def _given(chosen: Pipeline, images: Sequence[Image], boxes: Sequence[Floats | None]) -> Cast:
    """A caller's own boxes as instances without points."""
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


def _locate(
    step: Step,
    images: Sequence[Image],
    cast: Cast,
    before: Floats,
    session: Session,
    settings: dict[str, dict[str, float]],
    batch: int,
) -> Points:
    """The points of every instance in image pixels; NaN points lead to NaN points."""
    rule = step.boxed if cast.given and step.of is None and step.boxed is not None else step.region
    points = _read(rule, images, cast, before, session, settings, batch)
    if step.again is not None and (step.again_always or cast.given):
        points = _read(step.again, images, cast, points.keypoints, session, settings, batch)
    return points


def _read(
    rule: RegionRule,
    images: Sequence[Image],
    cast: Cast,
    before: Floats,
    session: Session,
    settings: dict[str, dict[str, float]],
    batch: int,
) -> Points:
    """One pass of a point net: regions by the rule, crops, the net, points mapped back."""
    spec = session.spec
    if spec.input.width is None or spec.input.height is None:
        raise InputError(f"model {spec.name}: a net that reads points in crops needs input.width and input.height")
    size = (spec.input.width, spec.input.height)
    decode = locator(spec.decoder, spec.name)
    parameters = {**spec.parameters, **settings["step"]}
    sizes = np.array([images[i].shape[1::-1] for i in cast.owner], dtype=np.intp).reshape(-1, 2)
    told = regions(rule, cast.boxes, before, sizes, size[0] / size[1])
    # A region that cannot be measured (of an absent part) or seen (outside the image) is answered with NaN.
    seen = (clip(cast.boxes, sizes)[:, 2:] > clip(cast.boxes, sizes)[:, :2]).all(axis=1)
    measured = np.isfinite(np.column_stack(told)).all(axis=1) & (told.sides > 0).all(axis=1)
    readable = np.flatnonzero(measured & seen)
    parts = []
    step = per_run(size, batch, spec.input.max_batch or 1)
    for start in range(0, len(readable), step):
        members = readable[start : start + step]
        to_crop = affines(type(told)(*(values[members] for values in told)), size, rule.mirror)
        crops = inputs([images[i] for i in cast.owner[members]], to_crop, size, spec.input, parameters)
        if rule.side == "fit":
            black_bars(crops, clip(cast.boxes[members], sizes[members]), to_crop)
        points = decode(session.run(session.prepare(crops)), size, parameters)
        for j, affine in enumerate(to_crop):
            back = affine.inverse()
            points.keypoints[j, :, :2] = back.apply(points.keypoints[j, :, :2])
            points.keypoints[j, :, 2] *= np.sqrt(abs(np.linalg.det(back.matrix[:, :2])))
        parts.append(points)
    if not parts:  # an answer for nobody, in the net's own shape: that of a black crop, without the crop
        black = np.zeros((1, size[1], size[0], 3), np.uint8)
        points = decode(session.run(session.prepare(black)), size, parameters)
        parts = [_select_points(points, np.zeros(1, bool))]
    return _spread(_joined(parts), readable, len(cast.boxes))


def _joined(parts: list[Points]) -> Points:
    arrays = [np.concatenate([part[k] for part in parts]) for k in range(4)]
    extra = {key: np.concatenate([part.extra[key] for part in parts]) for key in parts[0].extra}
    return Points(arrays[0], arrays[1], arrays[2], arrays[3], extra)


def _spread(points: Points, places: NDArray[np.intp], n: int) -> Points:
    """Points of some instances as points of all n, NaN for the others."""

    def spread(values: Floats) -> Floats:
        wide = unknown(n, *values.shape[1:])
        wide[places] = values
        return wide

    extra = {key: spread(values) for key, values in points.extra.items()}
    return Points(
        spread(points.keypoints), spread(points.scores), spread(points.visible), spread(points.presence), extra
    )


def _without(points: Points, absent: NDArray[np.bool_]) -> Points:
    """Points with those of absent parts NaN; how (un)sure the net was stays."""
    hidden = [np.where(absent.reshape(-1, *[1] * (array.ndim - 1)), np.nan, array) for array in points[:3]]
    return Points(hidden[0], hidden[1], hidden[2], points.presence, points.extra)


def _select(cast: Cast, keep: NDArray[np.bool_]) -> Cast:
    return Cast(cast.owner[keep], cast.boxes[keep], cast.scores[keep], cast.keypoints[keep], cast.given)


def _select_points(points: Points, keep: NDArray[np.bool_]) -> Points:
    extra = {key: values[keep] for key, values in points.extra.items()}
    return Points(points.keypoints[keep], points.scores[keep], points.visible[keep], points.presence[keep], extra)


def _presence_threshold(session: Session, settings: dict[str, dict[str, float]]) -> float:
    return number({**session.spec.parameters, **settings["step"]}, "presence_threshold", 0.0)


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


def check_thresholds(
    chosen: Pipeline, thresholds: Mapping[str, float], specs: Callable[[str], ModelSpec], *, boxes_given: bool
) -> dict[str, dict[str, float]]:
    """A caller's thresholds as parameters of the finder and of the steps.

    Raises InputError for one that is unknown or out of range, and for one that no net asks for: with a caller's own
    boxes no finder runs.
    """
    finders = [] if boxes_given or chosen.find is None else [chosen.find]
    nets = {"find": finders, "step": [step.model for step in chosen.steps]}
    settings: dict[str, dict[str, float]] = {"find": {}, "step": {}}
    for key, value in thresholds.items():
        if key not in SETTINGS:
            raise InputError(f"threshold {key!r} is unknown: valid: {', '.join(SETTINGS)}")
        low, high = LIMITS.get(key, (0.0, 1.0))
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
            raise InputError(f"threshold {key}={value!r}: give a number from {low:g} to {high:g}")
        stage, parameter = SETTINGS[key]
        if not any(parameter in specs(name).parameters for name in nets[stage]):
            beside = " with boxes of your own" if boxes_given and stage == "find" else ""
            raise InputError(f"threshold {key} changes nothing in pipeline {chosen.name}{beside}: leave it out")
        settings[stage][parameter] = float(value)
    return settings


def _check_images(images: Sequence[Image]) -> None:
    for i, image in enumerate(images):
        if np.ma.is_masked(image):
            raise InputError(f"image {i} has masked pixels: fill them, such as image.filled(0)")
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
            raise InputError(f"image {i} has shape {image.shape} and type {image.dtype}: give (H, W, 3) RGB uint8")

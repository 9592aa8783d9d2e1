"""The stage that reads points: regions by a rule, crops of all images together in true batches, points mapped back."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from landmark_ops.detectors.cast import Cast
from landmark_ops.detectors.crops import Image, inputs, per_run
from landmark_ops.detectors.decoder import locator
from landmark_ops.detectors.instances import Floats, Points, unknown
from landmark_ops.detectors.pipeline_spec import RegionRule, Step
from landmark_ops.detectors.regions import affines, black_bars, clip, regions
from landmark_ops.detectors.session import Session
from landmark_ops.detectors.thresholds import Settings
from landmark_ops.errors import InputError


def locate(
    step: Step,
    images: Sequence[Image],
    cast: Cast,
    before: Floats,
    session: Session,
    settings: Settings,
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
    settings: Settings,
    batch: int,
) -> Points:
    """One pass of a point net: regions by the rule, crops, the net, points mapped back."""
    spec = session.spec
    if spec.input.width is None or spec.input.height is None:
        raise InputError(f"model {spec.name}: a net that reads points in crops needs input.width and input.height")
    size = (spec.input.width, spec.input.height)
    decode = locator(spec.decoder, spec.name)
    parameters = {**spec.parameters, **settings.step}
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
    if not parts:  # no instance at all: how many points the net gives, and what else, is known from a black crop
        black = np.zeros((1, size[1], size[0], 3), np.uint8)
        points = decode(session.run(session.prepare(black)), size, parameters)
        parts = [points.select(np.zeros(1, bool))]
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

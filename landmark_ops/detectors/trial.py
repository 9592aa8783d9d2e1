"""Try a pipeline of a user's own before anything runs: compare what its spec says with what its nets do.

Every net sees made-up pictures once. Mistakes that show on them are refused at once instead of in the middle of a
night: a layout or channel order that the file does not take, outputs that are not what the decoder reads, answers that
depend on the other images of a batch, points that do not add up to the landmark set, rules that name points no net
gives. What cannot show: colours in the wrong order, and a mean or std of another training.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from landmark_ops.detectors.decoder import finder, locator
from landmark_ops.detectors.instances import Outputs, Parameters, Size
from landmark_ops.detectors.pipeline_spec import Pipeline, RegionRule
from landmark_ops.detectors.pipelines import list_pipelines
from landmark_ops.detectors.session import Session
from landmark_ops.errors import InputError, RunError

Read = TypeVar("Read")

SEED = 0
SIDE = 256  # px of a trial picture where a net takes any size, up to its multiple
OUTSIDE = 3  # crops away from the middle, for half of the points: they are given in another unit
CORNER = 2  # px
APART = 1e-3  # of an output's largest value: how far rounding takes the answer to a picture alone from one in a batch


def is_shipped(pipeline: Pipeline) -> bool:
    """Whether the pipeline comes with the package, whose tests have tried it; its models do then, by their names."""
    return pipeline in list_pipelines()


def try_out(pipeline: Pipeline, sessions: Callable[[str], Session]) -> None:
    """InputError with the first thing in which a pipeline, its specs and its files do not fit together."""
    where = f"pipeline {pipeline.name}"
    outputs = {name: _run(sessions(name)) for name in pipeline.models}
    found = 0
    if pipeline.find is not None:
        found = _found(sessions(pipeline.find), outputs[pipeline.find])
    if pipeline.also is not None:
        also = _found(sessions(pipeline.also), outputs[pipeline.also])
        if also != found:
            raise InputError(
                f"{where}: {pipeline.find} finds {found} points, {pipeline.also} {also}: use finders alike"
            )
    if pipeline.refine is not None:
        found = 5  # MTCNN's last net
    given: dict[str, int] = {}
    for step in pipeline.steps:
        given[step.name] = _located(sessions(step.model), outputs[step.model])
        before = given[step.of] if step.of is not None else found
        _check_rule(f"{where}: step {step.name}: region", step.region, before)
        if step.again is not None:
            _check_rule(f"{where}: step {step.name}: again", step.again, given[step.name])
    total = sum(given.values()) if pipeline.steps else found
    if total != pipeline.points:
        raise InputError(f"{where}: its nets give {total} points, points says {pipeline.points}: correct points")
    last = pipeline.steps[-1].model if pipeline.steps else pipeline.find
    named = sessions(last).spec.landmark_set if last is not None and len(pipeline.steps) <= 1 else None
    if pipeline.points and None not in (named, pipeline.landmark_set) and named != pipeline.landmark_set:
        raise InputError(
            f"{where}: landmark_set is {pipeline.landmark_set}, the spec of {last} says {named}: correct one of them"
        )


def _size(session: Session) -> Size:
    wanted = session.spec.input
    side = -(-SIDE // wanted.multiple) * wanted.multiple
    return (wanted.width or side, wanted.height or side)


def _run(session: Session) -> Outputs:
    """The outputs for a few pictures, compared with those for each alone."""
    width, height = _size(session)
    pictures = _pictures(width, height)
    name = session.spec.name
    try:
        together = session.run(session.prepare(pictures))
        alone = [session.run(session.prepare(picture[None])) for picture in pictures]
    except RunError as error:
        raise InputError(
            f"{error} (tried on pictures of {width} x {height} px before the run: check input.layout, width and height)"
        ) from error
    for at, (key, whole) in enumerate(zip(session.spec.outputs, together, strict=True)):
        single = np.concatenate([outputs[at] for outputs in alone])
        if single.shape != whole.shape:
            raise InputError(
                f"model {name}: output {key} has shape {whole.shape} for {len(pictures)} pictures and "
                f"{alone[0][at].shape} for one: set input.max_batch: 1, or export it with one answer per picture"
            )
        apart = np.abs(single - whole).max(initial=0)
        if apart > APART * max(np.abs(single).max(initial=0), 1e-6):
            raise InputError(
                f"model {name}: output {key} of a picture changes with the pictures beside it (by {apart:.2g}), as "
                "where a file was exported in training mode or quantises at run time: set input.max_batch: 1, or "
                "export it for inference"
            )
    return together


def _pictures(width: int, height: int) -> NDArray[np.uint8]:
    """Noise of high and low contrast, and a gradient: (3, height, width, 3), the same every time."""
    rng = np.random.default_rng(SEED)
    noise = rng.integers(0, 256, (2, height, width, 3)).astype(np.float64)
    noise[1] = 100 + noise[1] / 16
    slope = np.broadcast_to(np.linspace(0, 255, width)[None, None, :, None], (1, height, width, 3))
    return np.concatenate([noise, slope]).round().astype(np.uint8)


def _found(session: Session, outputs: Outputs) -> int:
    """How many points a finder gives per instance."""
    seen = _decoded(finder(session.spec.decoder, session.spec.name), session, outputs)
    return int(seen[0].keypoints.shape[1])


def _located(session: Session, outputs: Outputs) -> int:
    """How many points a net gives per crop."""
    spec = session.spec
    if spec.input.width is None:
        raise InputError(f"model {spec.name}: a net that reads points in crops needs input.width and input.height")
    points = _decoded(locator(spec.decoder, spec.name), session, outputs)
    count = int(points.keypoints.shape[1])
    if spec.parameters.get("points", count) != count:
        raise InputError(
            f"model {spec.name}: gives {count} points, parameters.points says {spec.parameters['points']}: correct it"
        )
    _check_places(session, points.keypoints[..., :2])
    return count


def _check_places(session: Session, keypoints: NDArray[np.float64]) -> None:
    """Points of (n, K, 2) crop pixels that lie far outside, or all in the first pixels: the wrong unit."""
    size, there = np.array(_size(session)), np.isfinite(keypoints).all(axis=2)
    if keypoints.shape[1] < 2 or not there.any():
        return
    spec, places = session.spec, np.abs(keypoints[there] / size - 0.5)
    if np.median(places) > OUTSIDE:
        raise InputError(
            f"model {spec.name}: its points lie {np.median(places):.0f} crops away from the crop: decoder "
            f"{spec.decoder} takes shares of the input or pixels, the file gives the other: export it so"
        )
    if np.abs(keypoints[there]).max() <= CORNER and size.min() > 8 * CORNER:
        raise InputError(
            f"model {spec.name}: all its points lie in the first {CORNER} pixels of the crop: decoder {spec.decoder} "
            "takes pixels, the file seems to give shares: export it so"
        )


def _decoded(decode: Callable[[Outputs, Size, Parameters], Read], session: Session, outputs: Outputs) -> Read:
    spec = session.spec
    try:
        return decode(outputs, _size(session), spec.parameters)
    except InputError:
        raise
    except (ValueError, IndexError, TypeError, ArithmeticError) as error:
        raise InputError(
            f"model {spec.name}: decoder {spec.decoder} cannot read what it gives: {error}: check its parameters"
        ) from error


def _check_rule(where: str, rule: RegionRule, count: int) -> None:
    """Whether the points a rule names are among `count`."""
    used = [*rule.points, *rule.centre, *(index for side in rule.axis or () for index in side)]
    if used and max(used) >= count:
        raise InputError(f"{where} names point {max(used)}, there are {count}: points count from 0")

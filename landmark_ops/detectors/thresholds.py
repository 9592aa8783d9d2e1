"""Thresholds that a caller sets in place of the specs' own, checked and sorted by the nets that they are for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from landmark_ops.detectors.pipeline_spec import Pipeline
from landmark_ops.detectors.spec import ModelSpec
from landmark_ops.errors import InputError

#: The thresholds a caller may set, with the stage and the parameter of its specs that each replaces.
SETTINGS = {
    "score": ("find", "score_threshold"),
    "nms_iou": ("find", "nms_iou"),
    "max_side": ("find", "max_side"),
    "min_face_px": ("find", "min_face_px"),
    "presence": ("step", "presence_threshold"),
}

#: Ranges of thresholds in pixels; the others are shares. A finder's input below 32 px shows no face, above 8192 fits no
#: memory.
LIMITS = {"max_side": (32.0, 8192.0), "min_face_px": (1.0, 8192.0)}


class Settings(NamedTuple):
    """Parameters that replace those of the finder's specs and of the steps' specs, by key."""

    find: dict[str, float]
    step: dict[str, float]


def check_thresholds(
    chosen: Pipeline, thresholds: Mapping[str, float], specs: Callable[[str], ModelSpec], *, boxes_given: bool
) -> Settings:
    """A caller's thresholds as parameters of the finder and of the steps.

    Raises InputError for one that is unknown or out of range, and for one that no net asks for: with a caller's own
    boxes no finder runs.
    """
    finders = [] if boxes_given or chosen.find is None else [chosen.find]
    nets = {"find": finders, "step": [step.model for step in chosen.steps]}
    settings = Settings({}, {})
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
        getattr(settings, stage)[parameter] = float(value)
    return settings

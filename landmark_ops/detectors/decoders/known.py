"""Which parameters each decoder reads: a spec with another key, or a value out of range, is refused when it is read.

A misspelt key would otherwise leave the default in place, and nobody would learn of it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import NamedTuple

from landmark_ops.errors import InputError


class Parameter(NamedTuple):
    """One parameter: what it is, in words; numbers from low to high; how deep its lists are; words to choose from."""

    what: str
    low: float = -math.inf
    high: float = math.inf
    whole: bool = False
    depth: int = 0
    words: tuple[str, ...] = ()
    flag: bool = False
    required: bool = False


SHARE = Parameter("a number from 0 to 1", 0, 1)
COUNT = Parameter("a whole number from 1", 1, whole=True)
POSITIVE = Parameter("a number above 0", math.nextafter(0, 1))
NUMBER = Parameter("a number")
NUMBERS = Parameter("a list of numbers", depth=1)
COUNTS = Parameter("a list of whole numbers from 1", 1, whole=True, depth=1)
FLAG = Parameter("true or false", flag=True)


def _must(parameter: Parameter) -> Parameter:
    return parameter._replace(required=True)


_SAMPLED = {"bilinear_up_to": Parameter("a minification from 0", 0)}
_FINDS = {"score_threshold": _must(SHARE), "nms_iou": _must(SHARE), **_SAMPLED}
_ANY_SIZE = {"max_side": Parameter("pixels from 1", 1)}
_LOCATES = {"points": COUNT, **_SAMPLED}
_SURE = {"presence_threshold": SHARE}
_OFFSET = {"pixel_offset": NUMBER}

#: Parameters by decoder. `points` states how many points a net gives; it is compared with what comes out of it.
PARAMETERS: dict[str, dict[str, Parameter]] = {
    "yunet": {"strides": _must(COUNTS), **_FINDS, **_ANY_SIZE},
    "retinaface": {
        "strides": _must(COUNTS),
        "min_sizes": _must(Parameter("a list of sizes above 0 for each stride", math.nextafter(0, 1), depth=2)),
        "variances": _must(NUMBERS),
        **_FINDS,
        **_ANY_SIZE,
    },
    "ultralight": {**_FINDS, **_ANY_SIZE},
    "blaze_ssd": {
        "strides": _must(COUNTS),
        "anchors_per_cell": _must(COUNTS),
        "keypoints": _must(Parameter("a whole number from 0", 0, whole=True)),
        **_FINDS,
        **_ANY_SIZE,
    },
    "mtcnn_pnet": {
        "nms_iou_merged": _must(SHARE),
        "min_face_px": _must(Parameter("pixels from 1", 1)),
        "scale_factor": _must(Parameter("a number from 0.1 to 0.95", 0.1, 0.95)),
        **_FINDS,
        **_ANY_SIZE,
    },
    "mtcnn_rnet": _FINDS,
    "mtcnn_onet": _FINDS,
    "face_mesh": {**_LOCATES, **_SURE},
    "iris": _LOCATES,
    "hand": {"normalize_z": _must(POSITIVE), **_LOCATES, **_SURE},
    "blazepose": {
        "heatmap_refine": FLAG,
        "heatmap_kernel": COUNT,
        "heatmap_threshold": SHARE,
        **_LOCATES,
        **_SURE,
    },
    "movenet": {**_LOCATES, **_SURE},
    "regression68": {**_OFFSET, **_LOCATES},
    "morphable62": {"mean": _must(NUMBERS), "std": _must(NUMBERS), **_OFFSET, **_LOCATES},
    "heatmap": {
        "method": Parameter("a word", words=("argmax", "dark", "udp", "soft")),
        "blur": COUNT,
        "beta": POSITIVE,
        **_LOCATES,
    },
    "simcc": {"split_ratio": POSITIVE, **_LOCATES},
    "pipnet": {
        "stride": _must(POSITIVE),
        "neighbours": _must(Parameter("a list of point numbers for each point", 0, whole=True, depth=2)),
        **_LOCATES,
    },
}


#: What publishers call the outputs of each decoder, in its order: the same names in another order are a mistake that
#: shapes may not show.
OUTPUTS: dict[str, tuple[str, ...]] = {
    "retinaface": ("loc", "conf", "landms"),
    "ultralight": ("scores", "boxes"),
    "blaze_ssd": ("regressors", "scores"),
    "simcc": ("simcc_x", "simcc_y"),
}


def check_order(decoder: str, outputs: Sequence[str]) -> None:
    """InputError where outputs bear the decoder's own names in another order."""
    told = OUTPUTS.get(decoder, ())
    if sorted(outputs) == sorted(told) and tuple(outputs) != told:
        raise InputError(f"outputs are {', '.join(outputs)}: decoder {decoder} takes them as {', '.join(told)}")


def check_parameters(decoder: str, parameters: Mapping[str, object], any_size: bool) -> None:
    """InputError naming the decoder or the first parameter that is unknown, missing, out of range or without effect.

    any_size: whether the net takes inputs of any size; `max_side` says something of those alone.
    """
    if decoder not in PARAMETERS:
        raise InputError(f"decoder {decoder!r} is unknown: valid: {', '.join(PARAMETERS)}")
    known = PARAMETERS[decoder]
    for key, value in parameters.items():
        if key not in known:
            near = get_close_matches(key, known, 1)
            hint = f"did you mean {near[0]}?" if near else f"valid: {', '.join(known)}"
            raise InputError(f"parameters.{key} is nothing that decoder {decoder} reads: {hint}")
        if not _fits(value, known[key], known[key].depth):
            valid = f"one of {', '.join(known[key].words)}" if known[key].words else known[key].what
            raise InputError(f"parameters.{key} is {str(value)[:60]}: decoder {decoder} needs {valid}")
        if key == "max_side" and not any_size:
            raise InputError("parameters.max_side changes nothing where input.width and height are fixed: leave it out")
    missing = [key for key, parameter in known.items() if parameter.required and key not in parameters]
    if missing:
        raise InputError(f"parameters.{missing[0]} is missing: decoder {decoder} needs {known[missing[0]].what}")


def _fits(value: object, parameter: Parameter, depth: int) -> bool:
    if depth:
        return isinstance(value, list | tuple) and bool(value) and all(_fits(v, parameter, depth - 1) for v in value)
    if parameter.words:
        return value in parameter.words
    if parameter.flag or isinstance(value, bool):
        return parameter.flag and isinstance(value, bool)
    if not isinstance(value, int | float) or not parameter.low <= value <= parameter.high:
        return False
    return math.isfinite(value) and (not parameter.whole or value == int(value))

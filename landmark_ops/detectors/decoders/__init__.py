"""Decoders: a network's outputs to boxes or points in pixels of its input, one pure NumPy file per output family."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from landmark_ops.detectors.decoders.blaze_ssd import decode_blaze_ssd
from landmark_ops.detectors.decoders.blazepose import decode_blazepose
from landmark_ops.detectors.decoders.face_mesh import decode_face_mesh, decode_iris
from landmark_ops.detectors.decoders.hand import decode_hand
from landmark_ops.detectors.decoders.heatmap import decode_heatmap
from landmark_ops.detectors.decoders.morphable62 import decode_morphable62
from landmark_ops.detectors.decoders.movenet import decode_movenet
from landmark_ops.detectors.decoders.mtcnn import decode_pnet
from landmark_ops.detectors.decoders.pipnet import decode_pipnet
from landmark_ops.detectors.decoders.regression68 import decode_regression68
from landmark_ops.detectors.decoders.simcc import decode_simcc
from landmark_ops.detectors.decoders.ssd_priors import decode_retinaface, decode_ultralight
from landmark_ops.detectors.decoders.yunet import decode_yunet
from landmark_ops.detectors.instances import Found, Outputs, Parameters, Points, Size
from landmark_ops.errors import InputError

Decoded = TypeVar("Decoded")

#: Decoders of whole images: where are the subjects?
FINDERS: dict[str, Callable[[Outputs, Size, Parameters], list[Found]]] = {
    "yunet": decode_yunet,
    "retinaface": decode_retinaface,
    "ultralight": decode_ultralight,
    "blaze_ssd": decode_blaze_ssd,
    "mtcnn_pnet": decode_pnet,
}

#: Decoders of crops: where are the subject's points?
LOCATORS: dict[str, Callable[[Outputs, Size, Parameters], Points]] = {
    "face_mesh": decode_face_mesh,
    "iris": decode_iris,
    "hand": decode_hand,
    "blazepose": decode_blazepose,
    "movenet": decode_movenet,
    "regression68": decode_regression68,
    "morphable62": decode_morphable62,
    "heatmap": decode_heatmap,
    "simcc": decode_simcc,
    "pipnet": decode_pipnet,
}


def finder(name: str, model: str) -> Callable[[Outputs, Size, Parameters], list[Found]]:
    """The decoder of a model that finds; InputError where `name` is none of them."""
    if name not in FINDERS:
        raise InputError(f"model {model}: decoder {name!r} finds nothing in whole images; valid: {', '.join(FINDERS)}")
    return _named(FINDERS[name], model)


def locator(name: str, model: str) -> Callable[[Outputs, Size, Parameters], Points]:
    """The decoder of a model that locates points in crops; InputError where `name` is none of them."""
    if name not in LOCATORS:
        raise InputError(f"model {model}: decoder {name!r} locates no points in crops; valid: {', '.join(LOCATORS)}")
    return _named(LOCATORS[name], model)


def _named(
    decode: Callable[[Outputs, Size, Parameters], Decoded], model: str
) -> Callable[[Outputs, Size, Parameters], Decoded]:
    """The decoder, whose messages name the model."""

    def named(outputs: Outputs, size: Size, parameters: Parameters) -> Decoded:
        try:
            return decode(outputs, size, parameters)
        except InputError as error:
            raise InputError(f"model {model}: {error}") from error

    return named

"""TFLite, as Google and MediaPipe publish their nets."""

from __future__ import annotations

from landmark_ops.detectors.converter import CONVERTERS, Convert, Converter
from landmark_ops.errors import InputError


def load_tflite() -> Convert:
    """The conversion. InputError where the extra [convert] is not installed."""
    try:
        from landmark_ops.detectors.tflite.conversion import convert_tflite
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] not in ("tflite", "ai_edge_litert"):
            raise
        raise InputError(
            f"this model is published as TFLite and converting it needs the package {error.name}: "
            "install landmark-ops[convert], or set LANDMARKS_MODEL_MIRROR to a place that holds the ONNX file"
        ) from error
    return lambda originals, how: convert_tflite(originals[0], how.outputs, how.drop)


CONVERTERS.register(Converter("tflite", load_tflite))

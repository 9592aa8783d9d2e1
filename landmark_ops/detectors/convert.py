"""Make ONNX files of models that are published in another format; TFLite needs the extra [convert].

Conversion is exact and repeatable: the same original gives the same bytes, so the spec's sha256 covers the result.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from landmark_ops.detectors.spec import Conversion
from landmark_ops.errors import InputError

#: Takes the originals' bytes in the spec's order, returns the bytes of the ONNX file.
Convert = Callable[[Sequence[bytes], Conversion], bytes]


def _tflite() -> Convert:
    try:
        from landmark_ops.detectors.convert_tflite import convert_tflite
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] not in ("tflite", "ai_edge_litert"):
            raise
        raise InputError(
            f"this model is published as TFLite and converting it needs the package {error.name}: "
            "install landmark-ops[convert], or set LANDMARKS_MODEL_MIRROR to a place that holds the ONNX file"
        ) from error
    return lambda originals, how: convert_tflite(originals[0], how.outputs, how.drop)


def _faceapi() -> Convert:
    from landmark_ops.detectors.convert_faceapi import convert_faceapi

    def convert(originals: Sequence[bytes], how: Conversion) -> bytes:
        manifest, shard = originals
        name = how.originals[1].url.rpartition("/")[2].removesuffix("-shard1")
        return convert_faceapi(manifest, shard, name, *how.outputs)

    return convert


#: Formats that can be converted; calling an entry imports what it needs.
CONVERTERS: dict[str, Callable[[], Convert]] = {"tflite": _tflite, "face-api": _faceapi}

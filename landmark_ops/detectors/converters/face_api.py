"""Weights as face-api.js publishes them: a manifest and their bytes, without a graph."""

from __future__ import annotations

from collections.abc import Sequence

from landmark_ops.detectors.converter import CONVERTERS, Convert, Converter
from landmark_ops.detectors.spec import Conversion


def load_face_api() -> Convert:
    """The conversion."""
    from landmark_ops.detectors.faceapi import convert_faceapi

    def convert(originals: Sequence[bytes], how: Conversion) -> bytes:
        manifest, shard = originals
        name = how.originals[1].url.rpartition("/")[2].removesuffix("-shard1")
        return convert_faceapi(manifest, shard, name, *how.outputs)

    return convert


CONVERTERS.register(Converter("face-api", load_face_api))

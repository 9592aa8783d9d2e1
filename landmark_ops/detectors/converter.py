"""Makes ONNX files of models that are published in another format; TFLite needs the extra [convert].

Conversion is exact and repeatable: the same original gives the same bytes, so the spec's sha256 covers the result.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from landmark_ops.detectors.spec import Conversion
from landmark_ops.registry import Registry

#: Takes the originals' bytes in the spec's order, returns the bytes of the ONNX file.
Convert = Callable[[Sequence[bytes], Conversion], bytes]


class Converter(NamedTuple):
    """One format. load: imports what converting needs, or InputError where it is not installed."""

    name: str
    load: Callable[[], Convert]


CONVERTERS: Registry[Converter] = Registry("model format", "landmark_ops.detectors.converters")

"""A generation: rows that were made in the same way. Its hash stands in every row, as `config_hash`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

from landmark_ops.configs.detect import DetectConfig
from landmark_ops.detectors.pipeline_spec import Pipeline
from landmark_ops.detectors.spec import ModelSpec

DECIDING = ("input", "outputs", "decoder", "parameters")  # keys of a spec that decide what its rows say


def generation_hash(
    config: DetectConfig, pipeline: Pipeline, specs: Iterable[ModelSpec], reads: Mapping[str, Any]
) -> str:
    """Hex digest of all that decides what rows say: pipeline, landmark set, model files, how they are fed and decoded.

    It covers the thresholds of the config; a pipeline without its name and its file's place; a spec without its file's
    place and its licence; what is read of the source. A glob is left out: it selects images, and an image's rows are
    the same under any.
    """
    parts = {
        "pipeline": pipeline.model_dump(mode="json", exclude={"name", "title", "batch"}),
        "models": [spec.model_dump(mode="json", include={"name", "sha256", *DECIDING}) for spec in specs],
        "detector": config.detector.model_dump(mode="json", exclude={"batch", "boxes", "pipeline", "landmarks"}),
        "boxes given": config.detector.boxes is not None,
        "reads": reads,
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()

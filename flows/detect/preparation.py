"""A detection run before anything is written: its pipeline with the models, the images, where rows will go.

All is opened and checked here, once per run.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import NamedTuple

from landmark_ops.configs.detect import DetectConfig, DetectorConfig
from landmark_ops.detectors.model_file import read_model
from landmark_ops.detectors.models import get_spec
from landmark_ops.detectors.pipeline_spec import Pipeline
from landmark_ops.detectors.pipelines import get_pipeline
from landmark_ops.detectors.session import load_session
from landmark_ops.detectors.spec import ModelSpec
from landmark_ops.detectors.thresholds import check_thresholds
from landmark_ops.detectors.trial import is_shipped, try_out
from landmark_ops.errors import InputError
from landmark_ops.keypoints.schema import SCHEMAS
from landmark_ops.shards.format import ShardOptions
from landmark_ops.shards.source import Source, open_shards
from landmark_ops.stores.tables.tables import TableSet


class Prepared(NamedTuple):
    """The opened inputs of a run: its pipeline, its models by name, its images, and the tables of its output.

    listed: when the images began to be listed, in seconds since 1970.
    """

    pipeline: Pipeline
    specs: Mapping[str, ModelSpec]
    source: Source
    tables: TableSet
    listed: float


def prepare(config: DetectConfig) -> Prepared:
    """Open and check everything that a config names; models not in the cache are fetched, nothing else is written.

    Raises InputError for an unknown pipeline, a source that cannot be read, a model file with another hash.
    """
    pipeline, specs = open_pipeline(config.detector)
    tables = TableSet(config.output.uri, SCHEMAS, config.output.format)
    listed = time.time()
    source = open_shards(config.source.uri, config.source.format, shard_options(config))
    for spec in specs.values():
        read_model(spec)
    return Prepared(pipeline, specs, source, tables, listed)


def open_pipeline(detector: DetectorConfig) -> tuple[Pipeline, dict[str, ModelSpec]]:
    """The pipeline and its models' specs by name; one of a user's own is tried out."""
    pipeline = get_pipeline(detector.name)
    specs = {name: get_spec(name) for name in pipeline.models}
    check_thresholds(pipeline, detector.thresholds, specs.__getitem__, boxes_given=detector.boxes is not None)
    if not is_shipped(pipeline):
        try_out(pipeline, lambda name: load_session(specs[name]))
    if detector.boxes is not None and not pipeline.steps:
        raise InputError(f"detector.landmarks: {detector.name} finds boxes only: name a pipeline with points")
    return pipeline, specs


def shard_options(config: DetectConfig) -> ShardOptions:
    """What a config says of its source."""
    source, boxes = config.source, config.detector.boxes
    return ShardOptions(
        glob=source.glob,
        column=source.column,
        id_column=source.id_column,
        paths=source.paths,
        version=source.version,
        boxes_column=boxes.column if boxes else None,
        box_layout=boxes.layout if boxes else None,
        box_relative=boxes is not None and boxes.relative,
    )

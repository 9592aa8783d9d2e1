"""Rows of tables from the outcomes of images, with provenance, as Arrow tables.

No picture and no model is touched here. Rows come in the order of the images, instances in the order of the pipeline.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from landmark_ops.detectors.instances import Instances
from landmark_ops.errors import InputError
from landmark_ops.keypoints import schema

MAX_DETAIL = 500
"""Characters of a failure's detail that are kept."""


class ImageOutcome(NamedTuple):
    """The outcome of one image: either `instances` with the size of the upright original, or `failure`.

    sha256: of the stored bytes, of the pixels where the source holds pixels; None where nothing could be read.
    failure: reason code and detail.
    """

    image_id: str
    shard: str
    member: str
    sha256: str | None
    width: int | None = None
    height: int | None = None
    instances: Instances | None = None
    failure: tuple[str, str] | None = None


class Provenance(NamedTuple):
    """The values that all rows of a run share. `model_sha256` maps the names in `Instances.model` to hashes."""

    landmark_set: str
    model_sha256: Mapping[str, str]
    config_hash: str
    run_id: str
    detected_at: datetime


def to_tables(outcomes: Sequence[ImageOutcome], provenance: Provenance) -> dict[str, pa.Table]:
    """The rows of `schema.SCHEMAS` that the outcomes of some images make.

    Raises `InputError` for an outcome that is neither instances nor a failure, and for a model without a hash.
    """
    for outcome in outcomes:
        if (outcome.instances is None) == (outcome.failure is None):
            raise InputError(f"{outcome.image_id}: is neither detected nor failed, or both: give one of them")
    return {
        "keypoints": _keypoints([o for o in outcomes if o.instances is not None], provenance),
        "failures": _failures([o for o in outcomes if o.failure is not None], provenance),
        "images": _images(outcomes, provenance),
    }


def concat(parts: Sequence[Mapping[str, pa.Table]]) -> dict[str, pa.Table]:
    """Several batches of rows as one."""
    return {
        name: pa.concat_tables([part[name] for part in parts]) if parts else form.empty_table()
        for name, form in schema.SCHEMAS.items()
    }


def _keypoints(outcomes: Sequence[ImageOutcome], provenance: Provenance) -> pa.Table:
    found = [(outcome, outcome.instances) for outcome in outcomes if outcome.instances is not None]
    counts = np.array([len(instances.boxes) for _, instances in found], np.int64)
    n = int(counts.sum())
    if n == 0:
        return schema.KEYPOINTS.empty_table()
    owner = np.repeat(np.arange(len(found)), counts)
    models = [_models(instances.model, provenance) for _, instances in found]
    boxes = np.concatenate([instances.boxes for _, instances in found])
    per_image: dict[str, list[Any]] = {
        "image_id": [outcome.image_id for outcome, _ in found],
        "shard": [outcome.shard for outcome, _ in found],
        "member": [outcome.member for outcome, _ in found],
        "image_sha256": [outcome.sha256 for outcome, _ in found],
        "width": [outcome.width for outcome, _ in found],
        "height": [outcome.height for outcome, _ in found],
        "model": [names for names, _ in models],
        "model_sha256": [hashes for _, hashes in models],
    }
    columns: dict[str, Any] = {
        name: pa.array(values, schema.KEYPOINTS.field(name).type).take(pa.array(owner))
        for name, values in per_image.items()
    }
    columns |= _shared(provenance, n, "detected_at")
    columns["landmark_set"] = _same(provenance.landmark_set, n, pa.string())
    columns["instance"] = pa.array(np.concatenate([np.arange(count) for count in counts]), pa.int32())
    columns["score"] = _floats(np.concatenate([instances.scores for _, instances in found]))
    columns["box"] = _struct(schema.KEYPOINTS.field("box").type, boxes)
    columns["keypoints"] = _points([instances for _, instances in found])
    columns["extra"] = _extras([instances for _, instances in found])
    return pa.table([columns[name] for name in schema.KEYPOINTS.names], schema=schema.KEYPOINTS)


def _points(found: Sequence[Instances]) -> pa.ListArray:
    lengths = np.concatenate([np.full(len(i.boxes), i.keypoints.shape[1]) for i in found])
    flat = np.concatenate(
        [
            np.concatenate([i.keypoints, i.keypoint_scores[..., None], i.visible[..., None]], axis=2).reshape(-1, 5)
            for i in found
        ]
    )
    kind = schema.KEYPOINTS.field("keypoints").type
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), _struct(kind.value_type, flat), type=kind)


def _extras(found: Sequence[Instances]) -> pa.MapArray:
    rows = [
        [(name, float(values[at])) for name, values in sorted(i.extra.items()) if not np.isnan(values[at])]
        for i in found
        for at in range(len(i.boxes))
    ]
    return pa.array([row or None for row in rows], schema.KEYPOINTS.field("extra").type)


def _failures(outcomes: Sequence[ImageOutcome], provenance: Provenance) -> pa.Table:
    columns = _identity(outcomes) | _shared(provenance, len(outcomes), "failed_at")
    columns["reason"] = [outcome.failure[0] for outcome in outcomes if outcome.failure]
    columns["detail"] = [outcome.failure[1][:MAX_DETAIL] for outcome in outcomes if outcome.failure]
    columns["sha256"] = [outcome.sha256 for outcome in outcomes]
    return _table(columns, schema.FAILURES)


def _images(outcomes: Sequence[ImageOutcome], provenance: Provenance) -> pa.Table:
    columns = _identity(outcomes) | _shared(provenance, len(outcomes), "detected_at")
    columns["image_sha256"] = [outcome.sha256 for outcome in outcomes]
    columns["width"] = [outcome.width for outcome in outcomes]
    columns["height"] = [outcome.height for outcome in outcomes]
    columns["instances"] = [len(outcome.instances.boxes) if outcome.instances else None for outcome in outcomes]
    return _table(columns, schema.IMAGES)


def _identity(outcomes: Sequence[ImageOutcome]) -> dict[str, Any]:
    return {name: [getattr(outcome, name) for outcome in outcomes] for name in ("image_id", "shard", "member")}


def _shared(provenance: Provenance, n: int, when: str) -> dict[str, Any]:
    return {
        "config_hash": _same(provenance.config_hash, n, pa.string()),
        "run_id": _same(provenance.run_id, n, pa.string()),
        when: _same(provenance.detected_at, n, schema.KEYPOINTS.field("detected_at").type),
    }


def _table(columns: Mapping[str, Any], form: pa.Schema) -> pa.Table:
    arrays = [
        value if isinstance(value := columns[field.name], pa.Array) else pa.array(value, field.type) for field in form
    ]
    return pa.table(arrays, schema=form)


def _models(names: Sequence[str], provenance: Provenance) -> tuple[str, str]:
    missing = [name for name in names if name not in provenance.model_sha256]
    if missing:
        raise InputError(f"model {missing[0]!r} made rows, but its sha256 was not given: every row names its models")
    return "+".join(names), "+".join(provenance.model_sha256[name] for name in names)


def _same(value: object, n: int, kind: pa.DataType) -> pa.Array:
    return pa.repeat(pa.scalar(value, kind), n)


def _floats(values: NDArray[np.float64]) -> pa.Array:
    return pa.array(values.astype(np.float32), mask=np.isnan(values))


def _struct(kind: pa.StructType, values: NDArray[np.float64]) -> pa.StructArray:
    return pa.StructArray.from_arrays([_floats(values[:, at]) for at in range(kind.num_fields)], fields=list(kind))

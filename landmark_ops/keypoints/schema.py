"""The tables that a detection run fills, as Arrow schemas.

    keypoints   one row per instance
    failures    one row per image that could not be read
    images      one row per image met, whatever became of it

`images` makes the account checkable by SQL: instances is null for a failure, 0 where nothing was found, so

    count(*) of images = count(distinct image_id) of keypoints + count(*) where instances = 0 + count(*) of failures

and a rerun reads from it which images of a grown shard are done. What only some pipelines tell (handedness,
head pose) goes into `extra`, a map from name to number: a new pipeline's value then needs no new column, which tables
written before would not have, and SQL reads it as extra['yaw']. What a network does not tell is null, never NaN.
`config_hash` names the generation: a changed model or config writes beside the old rows, in its own partition.
"""

from __future__ import annotations

import pyarrow as pa

_POINT = pa.struct([(name, pa.float32()) for name in ("x", "y", "z", "score", "visible")])
_BOX = pa.struct([(name, pa.float32()) for name in ("x0", "y0", "x1", "y1")])
_WHEN = pa.timestamp("us", tz="UTC")

KEYPOINTS = pa.schema(
    [
        ("image_id", pa.string()),
        ("shard", pa.string()),
        ("member", pa.string()),
        ("image_sha256", pa.string()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("instance", pa.int32()),
        ("landmark_set", pa.string()),
        ("model", pa.string()),
        ("model_sha256", pa.string()),
        ("config_hash", pa.string()),
        ("run_id", pa.string()),
        ("detected_at", _WHEN),
        ("score", pa.float32()),
        ("box", _BOX),
        ("keypoints", pa.list_(pa.field("element", _POINT))),
        ("extra", pa.map_(pa.string(), pa.float32())),
    ]
)

FAILURES = pa.schema(
    [
        ("image_id", pa.string()),
        ("shard", pa.string()),
        ("member", pa.string()),
        ("reason", pa.string()),
        ("detail", pa.string()),
        ("sha256", pa.string()),
        ("config_hash", pa.string()),
        ("run_id", pa.string()),
        ("failed_at", _WHEN),
    ]
)

IMAGES = pa.schema(
    [
        ("image_id", pa.string()),
        ("shard", pa.string()),
        ("member", pa.string()),
        ("image_sha256", pa.string()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("instances", pa.int32()),
        ("config_hash", pa.string()),
        ("run_id", pa.string()),
        ("detected_at", _WHEN),
    ]
)

SCHEMAS: dict[str, pa.Schema] = {"keypoints": KEYPOINTS, "failures": FAILURES, "images": IMAGES}
"""In the order in which a shard's rows are committed."""

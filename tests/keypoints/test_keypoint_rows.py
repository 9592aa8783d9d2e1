from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest

from landmark_ops.detectors.instances import Instances
from landmark_ops.errors import InputError
from landmark_ops.keypoints import schema
from landmark_ops.keypoints.rows import MAX_DETAIL, ImageOutcome, Provenance, concat, to_tables

WHEN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
PROVENANCE = Provenance("face-5", {"yunet": "aa", "mesh": "bb"}, "c0ffee", "run-1", WHEN)


def instances(n: int, rng: np.random.Generator, k: int = 5, **extra: np.ndarray) -> Instances:
    keypoints = rng.random((n, k, 3)) * 100
    keypoints[..., 2] = np.nan
    return Instances(
        rng.random((n, 4)),
        rng.random(n),
        keypoints,
        np.full((n, k), np.nan),
        rng.random((n, k)),
        dict(extra),
        ("yunet", "mesh"),
    )


def found(name: str, one: Instances) -> ImageOutcome:
    return ImageOutcome(f"s/{name}", "s", name, "00" * 32, 640, 480, one)


def test_columns_are_those_of_the_contract() -> None:
    assert schema.KEYPOINTS.names == [
        "image_id",
        "shard",
        "member",
        "image_sha256",
        "width",
        "height",
        "instance",
        "landmark_set",
        "model",
        "model_sha256",
        "config_hash",
        "run_id",
        "detected_at",
        "score",
        "box",
        "keypoints",
        "extra",
    ]


def test_rows_hold_what_instances_held(rng: np.random.Generator) -> None:
    two = instances(2, rng, yaw=np.array([1.5, np.nan]))
    tables = to_tables(
        [found("a.jpg", two), found("b.jpg", instances(0, rng)), found("c.jpg", instances(1, rng))], PROVENANCE
    )
    rows = tables["keypoints"].to_pylist()
    assert [(row["member"], row["instance"]) for row in rows] == [("a.jpg", 0), ("a.jpg", 1), ("c.jpg", 0)]
    first = rows[0]
    assert first["keypoints"][3]["x"] == np.float32(two.keypoints[0, 3, 0])
    assert first["keypoints"][3]["visible"] == np.float32(two.visible[0, 3])
    assert first["keypoints"][3]["z"] is None
    assert first["keypoints"][3]["score"] is None
    assert first["box"] == dict(zip(("x0", "y0", "x1", "y1"), two.boxes[0].astype(np.float32), strict=True))
    assert first["extra"] == [("yaw", 1.5)]
    assert rows[1]["extra"] is None
    assert (first["model"], first["model_sha256"], first["detected_at"]) == ("yunet+mesh", "aa+bb", WHEN)
    assert [row["instances"] for row in tables["images"].to_pylist()] == [2, 0, 1]
    assert tables["failures"].num_rows == 0


def test_boxes_without_points_and_missing_points(rng: np.random.Generator) -> None:
    holes = instances(1, rng)
    holes.keypoints[0, 2] = np.nan
    tables = to_tables([found("a", instances(1, rng, k=0)), found("b", holes)], PROVENANCE)
    rows = tables["keypoints"].to_pylist()
    assert rows[0]["keypoints"] == []
    assert rows[1]["keypoints"][2]["x"] is None


def test_failures_are_counted_as_images() -> None:
    bad = ImageOutcome("s/x", "s", "x", None, failure=("truncated", "y" * 10_000))
    tables = to_tables([bad], PROVENANCE)
    assert tables["keypoints"].num_rows == 0
    (failure,) = tables["failures"].to_pylist()
    assert (failure["reason"], len(failure["detail"]), failure["sha256"]) == ("truncated", MAX_DETAIL, None)
    (image,) = tables["images"].to_pylist()
    assert (image["instances"], image["width"]) == (None, None)


def test_tables_have_their_schemas_even_when_empty(rng: np.random.Generator) -> None:
    for tables in (
        to_tables([], PROVENANCE),
        concat([]),
        concat([to_tables([found("a", instances(1, rng))], PROVENANCE)]),
    ):
        assert {name: table.schema for name, table in tables.items()} == schema.SCHEMAS


def test_an_outcome_is_one_thing_and_models_are_known(rng: np.random.Generator) -> None:
    with pytest.raises(InputError, match="neither detected nor failed"):
        to_tables([ImageOutcome("s/x", "s", "x", None)], PROVENANCE)
    with pytest.raises(InputError, match="model 'mesh' made rows, but its sha256 was not given"):
        to_tables([found("a", instances(1, rng))], PROVENANCE._replace(model_sha256={"yunet": "aa"}))

"""Boxes of one's own instead of a finder, from columns and from a file beside the pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from landmark_ops.errors import InputError
from tests.flows.detecting_data import (
    TinyModels,
    bare_page,  # noqa: F401  a fixture
    blob_of,
    detect_config,
    found_by_index,
    model_files,  # noqa: F401  a fixture
    rows,
    run_detect,
    tiny_models,  # noqa: F401  a fixture
    write_image_parquet,
)
from tests.flows.test_detect import config  # noqa: F401  a fixture

pytestmark = pytest.mark.usefixtures("bare_page")


def own_boxes() -> list[list[list[float]]]:
    """Two boxes in the first picture, none in the second, one in each other one that shows something."""
    boxes: list[list[list[float]]] = []
    for index in range(12):
        blob = blob_of(index)
        box = [] if blob is None else [[blob.x - 8, blob.y - 8, blob.x + 8, blob.y + 8]]
        boxes.append(box)
    boxes[0].append([0.0, 0.0, 39.0, 29.0])
    boxes[1] = []
    return boxes


@pytest.fixture
def boxes_config(tmp_path: Path, tiny_models: TinyModels) -> dict[str, Any]:  # noqa: F811
    boxes = pa.array(own_boxes(), pa.list_(pa.list_(pa.float64())))
    source = write_image_parquet(tmp_path / "x.parquet", 12, 5, bbox=boxes, note=["text"] * 12)
    return detect_config(
        source,
        tmp_path / "out",
        "",
        detector={"pipeline": None, "boxes": {"column": "bbox"}, "landmarks": tiny_models.pipeline},
    )


def test_own_boxes(boxes_config: dict[str, Any], tmp_path: Path) -> None:
    result = run_detect(boxes_config)
    given = own_boxes()
    assert result["instances"] == sum(map(len, given))
    assert result["without"] == sum(not boxes for boxes in given)
    for index, found in found_by_index(tmp_path / "out").items():
        boxes = [[row[1][name] for name in ("x0", "y0", "x1", "y1")] for row in found]
        np.testing.assert_allclose(np.reshape(boxes, (-1, 4)), np.reshape(given[index], (-1, 4)), atol=1e-4)
        blob = blob_of(index)
        for _, _, keypoints in found:
            assert blob is not None
            assert abs(keypoints[0]["x"] - blob.x) < 1
            assert abs(keypoints[0]["y"] - blob.y) < 1
    assert {row["model"] for row in rows(tmp_path / "out")} == {"light-points"}


@pytest.mark.parametrize(
    ("column", "message"),
    [
        ("boxes", r"x\.parquet: holds no column 'boxes'; columns there: .*bbox \(list<.*note \(string\)"),
        ("note", r"x\.parquet: column 'note' is string, needed are boxes: list<list<number>>"),
        ("id", r"x\.parquet: column 'id' is string, needed are boxes"),
    ],
)
def test_a_wrong_box_column(boxes_config: dict[str, Any], tmp_path: Path, column: str, message: str) -> None:
    boxes_config["detector"]["boxes"]["column"] = column
    with pytest.raises(InputError, match=message):
        run_detect(boxes_config)
    assert not (tmp_path / "out/keypoints").exists()


def test_a_bad_box_fails_its_image_alone(boxes_config: dict[str, Any], tmp_path: Path) -> None:
    boxes = own_boxes()
    boxes[4] = [[9.0, 9.0, 3.0, 20.0]]
    column = pa.array(boxes, pa.list_(pa.list_(pa.float64())))
    write_image_parquet(tmp_path / "x.parquet", 12, 5, bbox=column)
    result = run_detect(boxes_config)
    assert (result["images"], result["failed"]) == (12, 1)
    (failure,) = rows(tmp_path / "out", "failures")
    assert (failure["image_id"], failure["reason"]) == ("x.parquet/4", "bad_boxes")
    assert "box 0 spans x 9..3" in failure["detail"]


def test_boxes_of_a_folder(config: dict[str, Any], tiny_models: TinyModels) -> None:  # noqa: F811
    config["detector"] = {"boxes": {"column": "bbox"}, "landmarks": tiny_models.pipeline}
    with pytest.raises(InputError, match=r"is a directory source, .*boxes"):
        run_detect(config)

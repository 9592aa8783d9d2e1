"""Columns of pictures as other writers make them: each is read, or refused by type."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from landmark_ops.errors import InputError
from landmark_ops.shards.format import ShardOptions
from landmark_ops.shards.member import Limits, Member
from landmark_ops.shards.source import open_shards
from landmark_ops.stores import locations

HF = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def read(path: Path, **options: Any) -> list[Member]:
    source = open_shards(str(path), options=ShardOptions(**options))
    return [member for shard in source.shards for member in shard.members()]


def write(path: Path, columns: dict[str, Any]) -> Path:
    pq.write_table(pa.table(columns), path)
    return path


BYTES = [b"one", b"two", None]


@pytest.mark.parametrize(
    "images",
    [
        pa.array(BYTES, pa.binary()),
        pa.array(BYTES, pa.large_binary()),
        pa.array(BYTES, pa.binary_view()),
        pa.array(BYTES, pa.binary()).dictionary_encode(),
        pa.array([value and {"bytes": value, "path": None} for value in BYTES], HF),
        pa.array([{"bytes": value, "path": None} for value in BYTES], HF),
    ],
)
@pytest.mark.parametrize("name", ["image", "photo.jpg", "a.b.c", "bild ä", "image.bytes"])
def test_bytes_of_any_type_under_any_name(tmp_path: Path, images: pa.Array, name: str) -> None:
    path = write(tmp_path / "a.parquet", {name: images, "photo.txt": ["a", "b", "c"]})
    for options in ({}, {"column": name}):
        found = read(path, **options)
        assert [member.data for member in found] == BYTES
        assert found[2].failure == ("empty", "the image is null")


def test_a_struct_and_a_dot_are_told_apart(tmp_path: Path) -> None:
    images = pa.array([{"jpg": b"inner"}], pa.struct([("jpg", pa.binary())]))
    path = write(tmp_path / "a.parquet", {"photo.jpg": pa.array([b"outer"], pa.binary()), "photo": images})
    assert [member.data for member in read(path, column="photo.jpg")] == [b"outer"]
    deep = pa.array([{"b": {"bytes": b"deep", "path": None}}], pa.struct([("b", HF)]))
    path = write(tmp_path / "b.parquet", {"a": deep, "n": [1]})
    assert [member.data for member in read(path, column="a.b")] == [b"deep"]
    assert [member.data for member in read(path, column="a.b.bytes")] == [b"deep"]


@pytest.mark.parametrize(
    ("column", "message"),
    [
        (pa.array(["/9j/4AAQSkZJRg=="]), "'image' is text: base64 is not read, store the decoded bytes as binary"),
        (pa.array([[{"bytes": b"x", "path": None}]], pa.list_(HF)), "'image' holds several pictures per row: unnest"),
        (pa.array([[[1, 2], [3, 4]]]), "'image' is numbers: store the pictures' encoded bytes, or a Zarr array"),
    ],
)
def test_what_people_keep_pictures_in_is_named(tmp_path: Path, column: pa.Array, message: str) -> None:
    path = write(tmp_path / "a.parquet", {"image": column})
    with pytest.raises(InputError, match=message):
        open_shards(path)
    with pytest.raises(InputError, match=message.partition(" ")[2].replace("is text", "text")[:20]):
        open_shards(path, options=ShardOptions(column="image"))


# --- paths


@pytest.fixture
def by_path(tmp_path: Path) -> Path:
    """A table whose rows have paths, and pictures inside and outside of its folder."""
    (tmp_path / "in" / "sub").mkdir(parents=True)
    (tmp_path / "in" / "sub" / "a.jpg").write_bytes(b"inside")
    (tmp_path / "secret.jpg").write_bytes(b"outside")
    (tmp_path / "in" / "link.jpg").symlink_to(tmp_path / "secret.jpg")
    (tmp_path / "in" / "empty.jpg").write_bytes(b"")
    os.mkfifo(tmp_path / "in" / "pipe.jpg")
    return tmp_path / "in" / "t.parquet"


def test_a_path_is_read_below_the_source_and_nowhere_else(by_path: Path) -> None:
    inside = by_path.parent
    paths = {
        "sub/a.jpg": b"inside",
        str(inside / "sub/a.jpg"): b"inside",
        f"file://{inside}/sub/a.jpg": b"inside",
        "gone.jpg": "unreadable",
        "empty.jpg": "empty",
        "pipe.jpg": "not_a_file",
        "sub": "not_a_file",
        "link.jpg": "unsafe_name",
        "../secret.jpg": "unsafe_name",
        "sub/../../secret.jpg": "unsafe_name",
        str(inside.parent / "secret.jpg"): "unsafe_name",
        "https://example.org/a.jpg": "unsafe_name",
        "s3://bucket/a.jpg": "unsafe_name",
        "C:\\a.jpg": "unsafe_name",
    }
    write(by_path, {"image": pa.array([{"bytes": None, "path": path} for path in paths], HF)})
    found = read(by_path)
    told = [member.failure[0] if member.failure else member.data for member in found]
    assert told == list(paths.values())
    assert not any(path in str(member.failure) for path, member in zip(paths, found, strict=True))
    assert not os.path.exists("a.jpg")


def test_the_root_of_paths_may_be_named(by_path: Path) -> None:
    write(by_path, {"image": pa.array([{"bytes": None, "path": "secret.jpg"}, {"bytes": b"own", "path": "x"}], HF)})
    outer = str(by_path.parent.parent)
    assert [member.data for member in read(by_path, paths=outer)] == [b"outside", b"own"]
    assert [member.failure and member.failure[0] for member in read(by_path)] == ["unreadable", None]
    found = read(by_path, paths=outer, limits=Limits(member_bytes=3))
    assert [member.failure and member.failure[0] for member in found] == ["too_large", None]


@pytest.mark.s3
def test_paths_on_s3(s3_bucket: str, by_path: Path) -> None:
    write(by_path, {"image": pa.array([{"bytes": None, "path": path} for path in ("sub/a.jpg", "b.jpg", "/x")], HF)})
    locations.write_bytes(f"{s3_bucket}/set/t.parquet", by_path.read_bytes())
    locations.write_bytes(f"{s3_bucket}/set/sub/a.jpg", b"inside")
    found = [member for shard in open_shards(f"{s3_bucket}/set", "parquet").shards for member in shard.members()]
    told = [member.failure[0] if member.failure else member.data for member in found]
    assert told == [b"inside", "unreadable", "unsafe_name"]


# --- boxes


@pytest.mark.parametrize(
    ("boxes", "options"),
    [
        (pa.array([[{"ymin": 2.0, "xmin": 1.0, "ymax": 8.0, "xmax": 5.0}]]), {}),
        (pa.array([[{"x": 1, "y": 2, "width": 4, "height": 6, "label": "face"}]]), {}),
        (pa.array([{"left": 1, "top": 2, "right": 5, "bottom": 8}]), {}),
        (pa.array([[[1.0, 2.0, 4.0, 6.0]]]), {"box_layout": "xywh"}),
        (pa.array([[3.0, 5.0, 4.0, 6.0]], pa.list_(pa.float32(), 4)), {"box_layout": "cxcywh"}),
        (pa.array([{"bbox": [[1, 2, 5, 8]], "category": [0]}]), {"boxes_column": "boxes.bbox"}),
        (pa.array([[{"bbox": [1, 2, 5, 8], "category": 0}]]), {"boxes_column": "boxes.bbox"}),
    ],
)
def test_boxes_of_other_writers(tmp_path: Path, boxes: pa.Array, options: dict[str, Any]) -> None:
    path = write(tmp_path / "a.parquet", {"image": pa.array([b"x"], pa.binary()), "boxes": boxes})
    (found,) = read(path, **{"boxes_column": "boxes", **options})
    np.testing.assert_array_equal(found.boxes, [[1, 2, 5, 8]])  # type: ignore[arg-type]


def test_what_is_read_is_told_to_the_record(tmp_path: Path) -> None:
    columns = {"left": pa.array([b"x"], pa.binary()), "right": pa.array([b"y"], pa.binary()), "id": ["a"]}
    path = write(tmp_path / "a.parquet", columns)
    readings = [
        open_shards(path, options=ShardOptions(**options)).reads
        for options in ({"column": "left"}, {"column": "right"}, {"column": "left", "id_column": "id"})
    ]
    assert len({str(reading) for reading in readings}) == 3
    alone = write(tmp_path / "b.parquet", {"left": columns["left"]})
    found, named = open_shards(alone), open_shards(alone, options=ShardOptions(column="left"))
    assert found.reads == named.reads  # naming the only column changes nothing

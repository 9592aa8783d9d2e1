from __future__ import annotations

import errno
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import write_deltalake

from landmark_ops.errors import InputError, RunError
from landmark_ops.shards.boxes import BoxForm, as_boxes
from landmark_ops.shards.format import ShardOptions
from landmark_ops.shards.member import Limits, Member
from landmark_ops.shards.parquet import ParquetShard
from landmark_ops.shards.source import open_shards
from landmark_ops.stores import locations


def table(n: int, start: int = 0, **columns: pa.Array) -> pa.Table:
    images = pa.array([b"image %d" % i for i in range(start, start + n)], pa.binary())
    return pa.table({"image": images, "label": pa.array(range(start, start + n)), **columns})


def write(path: Path, content: pa.Table, **options: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(content, path, **options)
    return path


def read(uri: object, **options: Any) -> list[Member]:
    source = open_shards(str(uri), options=ShardOptions(**options))
    return [member for shard in source.shards for member in pickle.loads(pickle.dumps(shard)).members()]


def test_rows_of_all_files_in_order(tmp_path: Path) -> None:
    write(tmp_path / "b.parquet", table(3, 10))
    write(tmp_path / "a" / "a.parquet", table(2))
    found = read(tmp_path)
    assert [(m.shard, m.member, m.image_id) for m in found] == [
        ("a/a.parquet#0", "0", "a/a.parquet/0"),
        ("a/a.parquet#0", "1", "a/a.parquet/1"),
        ("b.parquet#0", "0", "b.parquet/0"),
        ("b.parquet#0", "1", "b.parquet/1"),
        ("b.parquet#0", "2", "b.parquet/2"),
    ]
    assert found[-1].data == b"image 12"


def test_large_files_are_cut_at_row_groups_and_small_groups_joined(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", table(2500), row_group_size=400)
    shards = open_shards(path).shards
    assert [(shard.id, shard.count) for shard in shards] == [
        ("a.parquet#0", 1200),
        ("a.parquet#1200", 1200),
        ("a.parquet#2400", 100),
    ]
    assert [m.data for m in read(path)] == [b"image %d" % i for i in range(2500)]
    assert [m.member for m in shards[2].members(skip={str(i) for i in range(2402, 2500)})] == ["2400", "2401"]


@pytest.mark.parametrize(
    "images",
    [
        pa.array([b"x", b"y"], pa.large_binary()),
        pa.array([{"bytes": b"x", "path": None}, {"bytes": b"y", "path": "p"}]),
    ],
)
def test_kinds_of_image_columns(tmp_path: Path, images: pa.Array) -> None:
    path = write(tmp_path / "a.parquet", pa.table({"n": [1, 2], "picture": images}))
    assert [m.data for m in read(path)] == [b"x", b"y"]
    assert [m.data for m in read(path, column="picture")] == [b"x", b"y"]


def test_null_empty_and_large_images_are_failures(tmp_path: Path) -> None:
    images = pa.array([b"ok", None, b"", b"x" * 11], pa.binary())
    path = write(tmp_path / "a.parquet", pa.table({"image": images}))
    found = read(path, limits=Limits(member_bytes=10))
    assert [m.failure and m.failure[0] for m in found] == [None, "empty", "empty", "too_large"]


def test_ids_come_from_a_column(tmp_path: Path) -> None:
    write(tmp_path / "a.parquet", table(3, key=pa.array(["é", "é", None])))
    found = read(tmp_path, id_column="key")
    assert [(m.member, m.image_id) for m in found] == [("é", "é"), ("é", "é"), ("2", "a.parquet/2")]
    assert [m.member for m in read(tmp_path, id_column="label")] == ["0", "1", "2"]


BOXES = [[[0, 0, 4, 5], [1.5, 2, 3, 4]], [], None]


@pytest.mark.parametrize(
    "boxes",
    [
        pa.array(BOXES, pa.list_(pa.list_(pa.float64()))),
        pa.array(BOXES, pa.list_(pa.list_(pa.float32(), 4))),
        pa.array([b and [dict(zip(("xmin", "ymin", "xmax", "ymax"), four, strict=True)) for four in b] for b in BOXES]),
    ],
)
def test_box_columns(tmp_path: Path, boxes: pa.Array) -> None:
    path = write(tmp_path / "a.parquet", table(3, box=boxes))
    found = [m.boxes for m in read(path, boxes_column="box")]
    np.testing.assert_array_equal(found[0], [[0, 0, 4, 5], [1.5, 2, 3, 4]])  # type: ignore[arg-type]
    assert [boxes.shape for boxes in found[1:] if boxes is not None] == [(0, 4), (0, 4)]


def test_one_box_per_image_and_width_and_height(tmp_path: Path) -> None:
    boxes = pa.array([[1, 2, 10, 20], [5, 5, 1, 1]], pa.list_(pa.int32(), 4))
    path = write(tmp_path / "a.parquet", table(2, box=boxes))
    found = read(path, boxes_column="box", box_layout="xywh")
    np.testing.assert_array_equal(found[0].boxes, [[1, 2, 11, 22]])  # type: ignore[arg-type]
    assert [m.failure for m in read(path, boxes_column="box")] == [
        None,
        ("bad_boxes", "box 0 spans x 5..1, y 5..1"),
    ]


@pytest.mark.parametrize(
    "value", [[[1, 2, 3]], [1, 2, 3], [[1, 2, 3, None]], [None], [[0, 0, float("nan"), 4]], [[0, 0, 0, 1]]]
)
def test_values_that_are_no_boxes(value: object) -> None:
    with pytest.raises(ValueError, match="box 0"):
        as_boxes(value, BoxForm())


def test_wrong_columns_are_refused_with_those_there(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", table(2, other=pa.array([b"a", b"b"]), box=pa.array(["a", "b"])))
    there = r"image \(binary\); label \(int64\); other \(binary\); box \(string\)"
    with pytest.raises(InputError, match=f"2 columns could hold encoded images.*columns there: {there}"):
        open_shards(path)
    with pytest.raises(InputError, match=f"holds no column 'picture'; columns there: {there}"):
        open_shards(path, options=ShardOptions(column="picture"))
    with pytest.raises(InputError, match=f"column 'label' is int64, needed are encoded images as binary.*{there}"):
        open_shards(path, options=ShardOptions(column="label"))
    with pytest.raises(InputError, match=f"holds no column 'bbox'; columns there: {there}"):
        open_shards(path, options=ShardOptions(column="image", boxes_column="bbox"))
    with pytest.raises(InputError, match=f"column 'box' is string, needed are boxes.*{there}"):
        open_shards(path, options=ShardOptions(column="image", boxes_column="box"))
    with pytest.raises(InputError, match="column 'other' is binary, needed are strings or integers as ids"):
        open_shards(path, options=ShardOptions(column="image", id_column="other"))
    with pytest.raises(InputError, match=r"source\.box_layout is 'yxyx', it may be xyxy, xywh, cxcywh"):
        open_shards(path, options=ShardOptions(column="image", box_layout="yxyx"))  # type: ignore[arg-type]


def test_an_empty_file_is_an_empty_shard_and_a_damaged_one_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", table(0))
    assert [shard.count for shard in open_shards(path).shards] == [0]
    assert read(path) == []
    (tmp_path / "b.parquet").write_bytes(path.read_bytes()[:-10])
    with pytest.raises(InputError, match=r"b\.parquet: is not a whole Parquet file"):
        open_shards(tmp_path)


def test_a_damaged_row_group_fails_row_by_row_and_the_next_is_read(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    images = pa.array([rng.bytes(2000) for _ in range(60)], pa.binary())
    path = write(tmp_path / "a.parquet", pa.table({"image": images}), row_group_size=30, use_dictionary=False)
    data = bytearray(path.read_bytes())
    start = pq.read_metadata(path).row_group(0).column(0).data_page_offset
    data[start : start + 40] = b"\xff" * 40
    path.write_bytes(data)
    found = read(path)
    assert [m.member for m in found] == [str(i) for i in range(60)]
    assert {m.failure and m.failure[0] for m in found[:30]} == {"unreadable"}
    assert [m.data for m in found[30:]] == images[30:].to_pylist()


def test_a_delta_table_as_of_now(tmp_path: Path) -> None:
    uri = str(tmp_path / "t")
    write_deltalake(uri, table(3))
    write_deltalake(uri, table(2, 3), mode="append")
    source = open_shards(uri)
    assert source.format == "delta"
    assert sorted(m.data or b"" for m in read(uri)) == [b"image %d" % i for i in range(5)]
    write_deltalake(uri, table(1, 9), mode="overwrite")
    assert [m.data for m in read(uri)] == [b"image 9"]


@pytest.mark.s3
def test_s3_tables_equal_local_ones(s3_bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "a.parquet", table(100), row_group_size=30)
    locations.write_bytes(f"{s3_bucket}/set/a.parquet", path.read_bytes())
    assert read(f"{s3_bucket}/set") == read(tmp_path)
    (shard,) = open_shards(f"{s3_bucket}/set").shards
    opened = locations.open_binary

    class Failing:
        def __init__(self, uri: str) -> None:
            self.file, self.left = opened(uri), 3

        def read(self, size: int) -> bytes:
            self.left -= 1
            if self.left < 0:
                raise ConnectionResetError("reset")
            return self.file.read(size)

        def __getattr__(self, name: str) -> Any:
            return getattr(self.file, name)

    monkeypatch.setattr("landmark_ops.stores.locations.open_binary", Failing)
    with pytest.raises(RunError, match=r"a\.parquet: cannot be read now \(reset\)"):
        list(shard.members())


@pytest.mark.parametrize("number", [errno.ESTALE, errno.EIO])
def test_storage_that_fails_puts_no_row_on_record_as_bad(
    tmp_path: Path, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "a.parquet", table(6))
    (shard,) = open_shards(path, options=ShardOptions(id_column="label")).shards
    assert isinstance(shard, ParquetShard)

    def fails(*_: object, **__: object) -> Iterator[Any]:
        yield from ()
        raise OSError(number, "a disk or a server")

    monkeypatch.setattr(pq.ParquetFile, "iter_batches", fails)
    for read_all in (shard.members, shard.ids):
        with pytest.raises(RunError, match=r"a\.parquet: cannot be read now \(.*a disk or a server\): run again"):
            list(read_all())


def test_partition_folders_are_data_to_find_a_source_by(tmp_path: Path) -> None:
    write(tmp_path / "t/_day=1/a.parquet", table(2))
    write(tmp_path / "t/_temporary/b.parquet", table(3))
    assert len(read(tmp_path / "t")) == 2

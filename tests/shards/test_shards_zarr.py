from __future__ import annotations

import errno
import pickle
from pathlib import Path

import numpy as np
import pytest
import zarr

from landmark_ops.errors import InputError, RunError
from landmark_ops.shards.format import ShardOptions
from landmark_ops.shards.member import Member, OnRecord
from landmark_ops.shards.source import compare, open_shards
from landmark_ops.stores.sources.zarr_rows import ZarrRows


def store(path: Path, pictures: np.ndarray, chunk: int = 4, name: str = "images") -> zarr.Array:
    group = zarr.open_group(path, mode="a")
    array = group.create_array(name, shape=pictures.shape, chunks=(chunk, *pictures.shape[1:]), dtype=pictures.dtype)
    array[...] = pictures
    return array


def pictures(rng: np.random.Generator, n: int = 10) -> np.ndarray:
    return rng.integers(1, 255, (n, 6, 8, 3), np.uint8)


def read(path: Path, **options: str) -> list[Member]:
    source = open_shards(path, options=ShardOptions(**options))  # type: ignore[arg-type]
    return [member for shard in source.shards for member in pickle.loads(pickle.dumps(shard)).members()]


def test_pictures_come_as_arrays(tmp_path: Path, rng: np.random.Generator) -> None:
    data = pictures(rng)
    store(tmp_path / "z", data)
    store(tmp_path / "z", np.zeros((3, 2)), name="scores")
    found = read(tmp_path / "z", column="images")
    assert [(m.member, m.image_id, m.failure) for m in found] == [(str(i), f"images/{i}", None) for i in range(10)]
    np.testing.assert_array_equal([m.image for m in found], data)
    assert all(m.image is not None and m.image.flags.c_contiguous for m in found)


def test_shards_stay_when_rows_are_appended(tmp_path: Path, rng: np.random.Generator) -> None:
    array = store(tmp_path / "z", pictures(rng, 600))
    first = open_shards(tmp_path / "z").shards
    assert [(shard.id, shard.count) for shard in first] == [("images#0", 256), ("images#256", 256), ("images#512", 88)]
    array.append(pictures(rng, 400))
    later = compare(open_shards(tmp_path / "z").shards, {shard.id: OnRecord(shard.version) for shard in first})
    assert [shard.id for shard in later.done] == ["images#0", "images#256"]
    assert [shard.id for shard in later.changed] == ["images#512"]
    assert [shard.id for shard in later.new] == ["images#768"]
    done = {str(i) for i in range(512, 600)}
    assert [m.member for m in later.changed[0].members(skip=done)] == [str(i) for i in range(600, 768)]


def test_missing_and_damaged_chunks_are_failures_never_black_pictures(tmp_path: Path, rng: np.random.Generator) -> None:
    data = pictures(rng, 12)
    store(tmp_path / "z", data)
    chunks = tmp_path / "z" / "images" / "c"
    (chunks / "0" / "0" / "0" / "0").unlink()
    (chunks / "1" / "0" / "0" / "0").write_bytes(b"garbage")
    found = read(tmp_path / "z")
    assert [m.failure and m.failure[0] for m in found] == [
        *["missing_chunk"] * 4,
        *["damaged_shard"] * 4,
        *[None] * 4,
    ]
    np.testing.assert_array_equal([m.image for m in found[8:]], data[8:])


@pytest.mark.parametrize("shape", [(4, 6, 8), (4, 6, 8, 4), (4, 3, 6, 8), (4, 20)])
def test_other_shapes_are_refused(tmp_path: Path, shape: tuple[int, ...]) -> None:
    store(tmp_path / "z", np.ones(shape, np.uint8))
    with pytest.raises(InputError, match=r"needed are pictures \(n, height, width, 3\) uint8, RGB"):
        open_shards(tmp_path / "z")


def test_other_types_are_refused(tmp_path: Path) -> None:
    store(tmp_path / "z", np.ones((4, 6, 8, 3), np.float32))
    with pytest.raises(InputError, match="float32, needed are pictures"):
        open_shards(tmp_path / "z")


def test_a_damaged_chunk_of_gzip_is_a_failure_and_storage_that_fails_is_none(
    tmp_path: Path, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What gzip raises for other bytes is an OSError as well."""
    data = pictures(rng, 8)
    group = zarr.open_group(tmp_path / "z", mode="a")
    group.create_array("images", data=data, chunks=(4, 6, 8, 3), compressors=[zarr.codecs.GzipCodec()])
    (tmp_path / "z/images/c/1/0/0/0").write_bytes(b"garbage")
    found = read(tmp_path / "z")
    assert [m.failure and m.failure[0] for m in found] == [*[None] * 4, *["damaged_shard"] * 4]
    np.testing.assert_array_equal([m.image for m in found[:4]], data[:4])

    def stale(*_: object) -> None:
        raise OSError(errno.ESTALE, "Stale file handle")

    monkeypatch.setattr(ZarrRows, "_fetch", stale)
    with pytest.raises(RunError, match="cannot be read"):
        read(tmp_path / "z")

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numcodecs
import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from zarr.codecs import BloscCodec, Crc32cCodec, ShardingCodec, ZstdCodec
from zarr.storage import MemoryStore

from landmark_ops.errors import InputError, RunError
from landmark_ops.stores.sources.zarr_rows import ZarrRows

RNG = np.random.default_rng(0)
X = RNG.normal(size=(50, 6)).astype(np.float32)


def write(path: Path | MemoryStore, x: np.ndarray = X, name: str | None = None, **options: Any) -> zarr.Array[Any]:
    options = {"chunks": (8, *x.shape[1:]), "config": {"write_empty_chunks": True}} | options
    array = zarr.create_array(path, name=name, shape=x.shape, dtype=x.dtype, **options)
    array[...] = x
    return array


@pytest.mark.parametrize("dtype", ["<f2", "<f4", ">f4", "<f8", ">f8", "u1", "<i2", ">i4", "<u8"])
@pytest.mark.parametrize("zarr_format", [2, 3])
def test_reads_every_dtype(tmp_path: Path, dtype: str, zarr_format: int) -> None:
    x = np.arange(60).reshape(10, 6).astype(dtype)
    write(tmp_path / "x.zarr", x, chunks=(4, 4), zarr_format=zarr_format, order="F" if zarr_format == 2 else None)
    rows = ZarrRows(tmp_path / "x.zarr")
    assert rows.dtype == np.dtype(dtype).newbyteorder("=")
    got = rows.read(1, 9)
    assert got.dtype.isnative
    assert got.flags.c_contiguous
    np.testing.assert_array_equal(got, x[1:9])


def test_big_endian_bytes_in_v3(tmp_path: Path) -> None:
    write(tmp_path / "x.zarr", serializer=zarr.codecs.BytesCodec(endian="big"))
    np.testing.assert_array_equal(ZarrRows(tmp_path / "x.zarr").read(3, 20), X[3:20])


@pytest.mark.parametrize(
    "options",
    [
        {"compressors": None},
        {"compressors": BloscCodec(cname="lz4")},
        {"compressors": [ZstdCodec(), Crc32cCodec()]},
        {"zarr_format": 2, "compressors": numcodecs.LZ4()},
        {"zarr_format": 2, "compressors": numcodecs.Zlib(), "filters": [numcodecs.Delta("<f4")]},
        {"zarr_format": 2, "compressors": None, "filters": [numcodecs.Shuffle(4)]},
    ],
)
def test_reads_allowed_codecs(tmp_path: Path, options: dict[str, Any]) -> None:
    write(tmp_path / "x.zarr", **options)
    np.testing.assert_allclose(ZarrRows(tmp_path / "x.zarr").read(0, 50), X, rtol=1e-5, atol=1e-5)


@pytest.mark.filterwarnings("ignore:Numcodecs codecs are not in the Zarr version 3")  # raised by writing it here
def test_reads_numcodecs_in_v3_without_warning(tmp_path: Path) -> None:
    import warnings

    write(tmp_path / "x.zarr", compressors=[zarr.codecs.numcodecs.LZ4()])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_array_equal(ZarrRows(tmp_path / "x.zarr").read(0, 50), X)


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_any_chunking_and_range_equal_the_original(data: st.DataObject) -> None:
    shape = tuple(data.draw(st.lists(st.integers(1, 12), min_size=2, max_size=3), label="shape"))
    inner = tuple(data.draw(st.integers(1, size)) for size in shape)
    zarr_format = data.draw(st.sampled_from([2, 3]))
    x = np.random.default_rng(0).integers(0, 3, shape).astype("f4")  # many values equal to the fill value
    options: dict[str, Any] = {"zarr_format": zarr_format}
    if zarr_format == 3 and data.draw(st.booleans(), label="sharded"):
        options["shards"] = tuple(size * data.draw(st.integers(1, 3)) for size in inner)
        options["config"] = {"write_empty_chunks": True}
    array = write(MemoryStore(), x, chunks=inner, **options)
    rows = ZarrRows(array)
    start = data.draw(st.integers(0, shape[0]))
    stop = data.draw(st.integers(start, shape[0]))
    flat = x.reshape(shape[0], -1)
    np.testing.assert_array_equal(rows.read(start, stop), flat[start:stop])
    indices = np.array(data.draw(st.lists(st.integers(0, shape[0] - 1), max_size=8)), np.int64)
    np.testing.assert_array_equal(rows.take(indices), flat[indices])
    assert rows.chunk_rows == inner[0]


def test_pickles_small_and_reopens(tmp_path: Path) -> None:
    write(tmp_path / "x.zarr")
    rows = ZarrRows(tmp_path / "x.zarr")
    rows.read(0, 50)
    sent = pickle.dumps(rows)
    assert len(sent) < 2000
    np.testing.assert_array_equal(pickle.loads(sent).read(7, 33), X[7:33])


def test_open_arrays_are_taken(tmp_path: Path) -> None:
    local = write(tmp_path / "x.zarr", name="a/b")
    rows = ZarrRows(local)
    assert rows.uri == str(tmp_path / "x.zarr" / "a/b")
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(rows)).read(1, 3), X[1:3])
    memory = ZarrRows(write(MemoryStore(), name="deep"))
    np.testing.assert_array_equal(memory.read(1, 3), X[1:3])
    assert memory.fingerprint() == memory.fingerprint()


def test_array_is_found_by_name_or_where_it_is_the_only_one(tmp_path: Path) -> None:
    zarr.create_group(tmp_path / "g.zarr")
    write(tmp_path / "g.zarr", name="deep/patches")
    write(tmp_path / "g.zarr", np.arange(4), name="labels", chunks=(4,))
    assert ZarrRows(tmp_path / "g.zarr").uri.endswith("g.zarr/deep/patches")
    np.testing.assert_array_equal(ZarrRows(tmp_path / "g.zarr", "deep/patches").read(0, 50), X)
    with pytest.raises(InputError, match=r"no array 'patchez'.*deep/patches \(50 x 6 float32\); labels \(4 int64\)"):
        ZarrRows(tmp_path / "g.zarr", "patchez")
    with pytest.raises(InputError, match="has 1 dimension"):
        ZarrRows(tmp_path / "g.zarr", "labels")
    write(tmp_path / "g.zarr", name="more")
    with pytest.raises(InputError, match=r"2 arrays there could be rows.*set source\.array.*more \(50 x 6 float32\)"):
        ZarrRows(tmp_path / "g.zarr")
    with pytest.raises(InputError, match=r"is an array itself and holds no array 'x': leave source\.array out"):
        ZarrRows(tmp_path / "g.zarr/more", "x")


def test_nothing_zarr_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no Zarr array or group is there \(looked for"):
        ZarrRows(tmp_path)


def test_damaged_metadata(tmp_path: Path) -> None:
    write(tmp_path / "x.zarr")
    (tmp_path / "x.zarr/zarr.json").write_text("{")
    with pytest.raises(InputError, match="is not JSON"):
        ZarrRows(tmp_path / "x.zarr")


class Trap:
    """Unpickling it fails the test."""

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return pytest.fail, ("the pickle was decoded",)


@pytest.mark.parametrize("where", ["compressor", "only filter", "second filter"])
def test_pickle_codec_is_refused_before_decoding(tmp_path: Path, where: str) -> None:
    write(tmp_path / "x.zarr", zarr_format=2, compressors=None)
    path = tmp_path / "x.zarr/.zarray"
    meta = json.loads(path.read_text())
    trap = {"id": "pickle", "protocol": 5}
    if where == "compressor":
        meta["compressor"] = trap
    else:
        meta["filters"] = [trap] if where == "only filter" else [{"id": "shuffle", "elementsize": 4}, trap]
    path.write_text(json.dumps(meta))
    for chunk in (tmp_path / "x.zarr").glob("[0-9]*"):
        chunk.write_bytes(pickle.dumps(Trap()))
    with pytest.raises(InputError, match="codec 'pickle' is not on the list of codecs that are safe to decode"):
        ZarrRows(tmp_path / "x.zarr")


def test_open_arrays_are_held_against_the_list_too(tmp_path: Path) -> None:
    array = write(tmp_path / "x.zarr", zarr_format=2, filters=[numcodecs.Base64()])
    with pytest.raises(InputError, match="codec 'base64' is not on the list"):
        ZarrRows(array)


def test_unknown_codec_inside_a_shard_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "x.zarr", shards=(16, 6))
    path = tmp_path / "x.zarr/zarr.json"
    meta = json.loads(path.read_text())
    for part in ("codecs", "index_codecs"):
        changed = json.loads(json.dumps(meta))
        changed["codecs"][0]["configuration"][part].append({"name": "numcodecs.pickle", "configuration": {}})
        path.write_text(json.dumps(changed))
        with pytest.raises(InputError, match=r"codec 'numcodecs\.pickle' is not on the list"):
            ZarrRows(tmp_path / "x.zarr")


@pytest.mark.parametrize("dtype", ["|O", "<U4", "<c8", [["a", "<f4"]]])
def test_other_element_types_are_refused(tmp_path: Path, dtype: Any) -> None:
    write(tmp_path / "x.zarr", zarr_format=2)
    path = tmp_path / "x.zarr/.zarray"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"dtype": dtype}))
    with pytest.raises(InputError, match="rows must be float16/32/64 or integers"):
        ZarrRows(tmp_path / "x.zarr")


def test_irregular_chunks_are_refused(tmp_path: Path) -> None:
    write(tmp_path / "x.zarr")
    path = tmp_path / "x.zarr/zarr.json"
    grid = {"chunk_grid": {"name": "rectilinear", "configuration": {}}}
    path.write_text(json.dumps(json.loads(path.read_text()) | grid))
    with pytest.raises(InputError, match="chunk grid is 'rectilinear', only 'regular' is supported"):
        ZarrRows(tmp_path / "x.zarr")


@pytest.mark.parametrize("fill", [0.0, 1.5, np.nan])
@pytest.mark.parametrize("sharded", [False, True])
def test_missing_chunk_is_an_error_unless_meant(tmp_path: Path, fill: float, sharded: bool) -> None:
    write(tmp_path / "x.zarr", fill_value=fill, shards=(16, 6) if sharded else None)
    rows = ZarrRows(tmp_path / "x.zarr")
    (tmp_path / "x.zarr/c/1/0").unlink()
    with pytest.raises(InputError, match=r"chunk c/1/0 .* is missing: restore it, or set source\.missing_chunks: fill"):
        rows.read(0, 50)
    size = 16 if sharded else 8
    np.testing.assert_array_equal(rows.read(0, size), X[:size])
    filled = X.copy()
    filled[size : 2 * size] = fill
    meant = ZarrRows(tmp_path / "x.zarr", missing_chunks="fill")
    np.testing.assert_array_equal(meant.read(0, 50), filled)


def test_missing_chunk_in_v2_without_fill_value(tmp_path: Path) -> None:
    write(tmp_path / "x.zarr", zarr_format=2, fill_value=None)
    (tmp_path / "x.zarr/2.0").unlink()
    with pytest.raises(InputError, match=r"chunk 2\.0 \(rows 16\.\.24\) is missing"):
        ZarrRows(tmp_path / "x.zarr").read(0, 50)


def test_missing_feature_chunk_is_named(tmp_path: Path) -> None:
    write(tmp_path / "x.zarr", chunks=(8, 2))
    (tmp_path / "x.zarr/c/3/1").unlink()
    with pytest.raises(InputError, match=r"chunk c/3/1 \(rows 25\.\.32\) is missing"):
        ZarrRows(tmp_path / "x.zarr").read(25, 50)


@pytest.mark.parametrize("shards", [None, (16, 6)])
def test_stored_zeros_are_no_missing_chunk(tmp_path: Path, shards: tuple[int, int] | None) -> None:
    x = X.copy()
    x[8:24] = 0
    write(tmp_path / "x.zarr", x, shards=shards)
    np.testing.assert_array_equal(ZarrRows(tmp_path / "x.zarr").read(0, 50), x)


def test_chunks_left_out_of_a_shard_are_no_missing_chunk(tmp_path: Path) -> None:
    x = X.copy()
    x[8:16] = 0
    write(tmp_path / "x.zarr", x, shards=(16, 6), config={"write_empty_chunks": False})
    np.testing.assert_array_equal(ZarrRows(tmp_path / "x.zarr").read(0, 50), x)


def test_chunk_that_failed_in_passing_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "x.zarr")
    rows = ZarrRows(tmp_path / "x.zarr")
    get, failed = zarr.storage.LocalStore.get, []

    async def flaky(self: Any, key: str, *args: Any, **kwargs: Any) -> Any:
        if key == "c/1/0" and not failed:
            failed.append(key)
            return None
        return await get(self, key, *args, **kwargs)

    monkeypatch.setattr(zarr.storage.LocalStore, "get", flaky)
    np.testing.assert_array_equal(rows.read(0, 50), X)
    assert failed == ["c/1/0"]


@pytest.mark.parametrize("damage", ["truncate", "empty", "flip"])
@pytest.mark.parametrize("shards", [None, (16, 6)])
def test_corrupt_chunk_is_named(tmp_path: Path, damage: str, shards: tuple[int, int] | None) -> None:
    write(tmp_path / "x.zarr", compressors=[BloscCodec(cname="lz4"), Crc32cCodec()], shards=shards)
    chunk = tmp_path / "x.zarr/c/1/0"
    data = bytearray(chunk.read_bytes())
    data[30] ^= 1
    chunk.write_bytes({"truncate": data[:-9], "empty": b"", "flip": data}[damage])
    rows = ZarrRows(tmp_path / "x.zarr")
    with pytest.raises(RunError, match=r"x\.zarr: chunk c/1/0 .*restore") as caught:
        rows.read(0, 50)
    assert caught.value.__cause__ is not None
    np.testing.assert_array_equal(rows.read(0, 8), X[:8])


def test_truncated_uncompressed_chunk_is_named(tmp_path: Path) -> None:
    write(tmp_path / "x.zarr", compressors=None)
    chunk = tmp_path / "x.zarr/c/6/0"
    chunk.write_bytes(chunk.read_bytes()[:100])
    with pytest.raises(RunError, match=r"chunk c/6/0 \(rows 48\.\.50\) cannot be read"):
        ZarrRows(tmp_path / "x.zarr").read(0, 50)


def test_shard_cut_off_behind_its_index_is_not_filled(tmp_path: Path) -> None:
    serializer = ShardingCodec(chunk_shape=(8, 6), index_location="start")
    write(tmp_path / "x.zarr", chunks=(16, 6), serializer=serializer, compressors=None)
    shard = tmp_path / "x.zarr/c/1/0"
    first_chunk_end = 2 * 16 + 4 + 8 * 6 * 4
    shard.write_bytes(shard.read_bytes()[:first_chunk_end])
    with pytest.raises(RunError, match=r"chunk c/1/0 is truncated: its index needs 420 bytes, it has 228"):
        ZarrRows(tmp_path / "x.zarr").read(24, 32)


def test_source_rewritten_or_gone_before_a_worker_opens_it(tmp_path: Path) -> None:
    write(tmp_path / "x.zarr")
    sent = pickle.dumps(ZarrRows(tmp_path / "x.zarr"))
    write(tmp_path / "x.zarr", X[:9], overwrite=True)
    with pytest.raises(RunError, match=r"was \(50, 6\) float32 when the run began, now \(9, 6\)"):
        pickle.loads(sent).read(0, 5)
    (tmp_path / "x.zarr").rename(tmp_path / "y.zarr")
    with pytest.raises(RunError, match="could be opened when the run began, now not"):
        pickle.loads(sent).read(0, 5)


def test_fingerprint_follows_chunks_and_metadata(tmp_path: Path) -> None:
    array = write(tmp_path / "x.zarr")
    rows = ZarrRows(tmp_path / "x.zarr")
    before = rows.fingerprint()
    assert ZarrRows(array).fingerprint() == before
    array[0, 0] = 7
    assert rows.fingerprint() != before


def test_option_values_are_checked(tmp_path: Path) -> None:
    write(tmp_path / "x.zarr")
    with pytest.raises(InputError, match="missing_chunks is 'zero', it may be 'error' or 'fill'"):
        ZarrRows(tmp_path / "x.zarr", missing_chunks="zero")  # type: ignore[arg-type]

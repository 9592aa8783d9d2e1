"""What our readers read, by a second implementation too, over a generated sweep: where they differ ours is wrong."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numcodecs
import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
import zarr
from deltalake import DeltaTable, write_deltalake
from zarr.codecs import BloscCodec, BytesCodec, Crc32cCodec, GzipCodec, TransposeCodec, ZstdCodec

from landmark_ops.errors import InputError
from landmark_ops.stores.sources.npy_rows import NpyRows
from landmark_ops.stores.sources.parquet_rows import ParquetRows
from landmark_ops.stores.sources.rows import Rows
from landmark_ops.stores.sources.source import open_rows
from landmark_ops.stores.sources.zarr_rows import ZarrRows

DTYPES = ["?", "u1", "i1", "<u2", ">i2", "<i4", ">u4", "<i8", ">u8", "<f2", ">f2", "<f4", ">f4", "<f8", ">f8"]
ODD_DTYPES = ["<c8", ">c16", "<f16", "<M8[ns]", "<m8[s]", "S3", "<U2", "V4"]
SHAPES = [(11, 4), (7, 2, 3)]


def values(shape: tuple[int, ...], dtype: str) -> np.ndarray[Any, Any]:
    """Numbers of the type's whole range, its extremes among them, so far as float64 holds them."""
    rng = np.random.default_rng(0)
    kind = np.dtype(dtype)
    if kind.kind == "f":
        x = rng.normal(size=shape) * 100
        x.reshape(-1)[:6] = [np.nan, np.inf, -np.inf, -0.0, np.finfo(kind).tiny, np.finfo(kind).smallest_subnormal]
        return x.astype(kind)
    if kind.kind == "b":
        return rng.integers(0, 2, shape).astype(kind)
    ends = np.iinfo(kind)
    x = rng.integers(max(ends.min, -(2**53)), min(ends.max, 2**53), shape, endpoint=True).astype(kind)
    x.reshape(-1)[:4] = [0, 1, max(ends.min, -(2**53)), min(ends.max, 2**53)]
    return x


def compare(rows: Rows, expected: np.ndarray[Any, Any], label: Any = "") -> None:
    """Whole, in part and picked: same values, same type in native order."""
    flat = np.asarray(expected).reshape(len(expected), -1)
    assert rows.shape == flat.shape, label
    assert rows.dtype == flat.dtype.newbyteorder("="), label
    for start, stop in ((0, rows.n), (1, min(5, rows.n)), (rows.n - 1, rows.n)):
        got = rows.read(start, stop)
        assert got.dtype.isnative
        np.testing.assert_array_equal(got, flat[start:stop], str(label))
        if got.dtype.kind == "f":
            np.testing.assert_array_equal(np.signbit(got), np.signbit(flat[start:stop]), str(label))
    picked = np.array([rows.n - 1, 0, 2, 2])
    np.testing.assert_array_equal(rows.take(picked), flat[picked], str(label))


def zarr_layouts(zarr_format: int, kind: np.dtype[Any], shape: tuple[int, ...]) -> Iterator[dict[str, Any]]:
    """Every compressor, filter, order, chunking, sharding and fill value, each at least once, in changing company."""
    size = kind.itemsize
    chunks = [tuple(max(1, length // 2) for length in shape), (3, *shape[1:]), shape]
    fills: list[Any] = [0, 1] if kind.kind != "f" else [0.0, np.nan, -1.5]
    if zarr_format == 2:
        compressors: list[Any] = [
            None,
            numcodecs.Blosc("lz4", 5, numcodecs.Blosc.BITSHUFFLE),
            numcodecs.Zstd(),
            numcodecs.GZip(),
            numcodecs.Zlib(),
            numcodecs.LZ4(),
            numcodecs.BZ2(),
            numcodecs.LZMA(),
        ]
        filters: list[Any] = [None, [numcodecs.Shuffle(size)], [numcodecs.CRC32()], [numcodecs.Fletcher32()]]
        if kind.kind in "iu":
            filters.append([numcodecs.Delta(kind.str)])
        for at, compressor in enumerate(compressors):
            yield {
                "compressors": compressor,
                "filters": filters[at % len(filters)],
                "order": "CF"[at % 2],
                "chunks": chunks[at % 3],
                "fill_value": fills[at % len(fills)],
                "chunk_key_encoding": {"name": "v2", "separator": "./"[at // 2 % 2]},
            }
        return
    turned = tuple(reversed(range(len(shape))))
    pipelines: list[dict[str, Any]] = [
        {"compressors": None},
        {"compressors": [ZstdCodec(level=3)]},
        {"compressors": [GzipCodec()]},
        {"compressors": [BloscCodec(cname="zstd", shuffle="bitshuffle")]},
        {"compressors": [ZstdCodec(), Crc32cCodec()]},
        {"filters": [TransposeCodec(order=turned)], "compressors": None},
        {"serializer": BytesCodec(endian="big"), "compressors": [Crc32cCodec()]},
    ]
    for at, pipeline in enumerate(pipelines):
        chunk = chunks[at % 3]
        shards = {"shards": tuple(length * factor for length, factor in zip(chunk, (2, 3, 1), strict=False))}
        yield {
            **pipeline,
            "chunks": chunk,
            "fill_value": fills[at % len(fills)],
            "chunk_key_encoding": {"name": ("default", "v2")[at % 2], "separator": "/."[at // 2 % 2]},
            **(shards if at % 2 else {}),
        }


@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_zarr_equals_zarr_python(tmp_path: Path, zarr_format: int, shape: tuple[int, ...]) -> None:
    for number, dtype in enumerate(DTYPES):
        x = values(shape, dtype)
        for at, layout in enumerate(zarr_layouts(zarr_format, x.dtype, shape)):
            if (at + number) % 3:  # each layout with a third of the types
                continue
            path = tmp_path / f"{number}-{at}.zarr"
            array = zarr.create_array(
                path,
                shape=shape,
                dtype=x.dtype,
                zarr_format=zarr_format,
                config={"write_empty_chunks": at % 2 == 0},
                **layout,
            )
            array[:] = x
            read = zarr.open_array(path, mode="r")[:]
            np.testing.assert_array_equal(read, x)
            compare(ZarrRows(path, missing_chunks="fill"), np.asarray(read), (dtype, layout))


@pytest.mark.parametrize("dtype", [*DTYPES, *ODD_DTYPES, "O", "f4,i2"])
def test_npy_equals_numpy(tmp_path: Path, dtype: str) -> None:
    odd = dtype in (*ODD_DTYPES, "O", "f4,i2")
    for at, (shape, order, version) in enumerate(itertools.product(SHAPES, "CF", [(1, 0), (2, 0), (3, 0)])):
        x = np.zeros(shape, dtype) if odd else values(shape, dtype)
        path = tmp_path / f"{at}.npy"
        with path.open("wb") as file:
            np.lib.format.write_array(file, np.asarray(x, order=order), version)
        if odd:
            with pytest.raises(InputError, match=r"elements are|not a \.npy file of numbers"):
                NpyRows(path)
        else:
            compare(NpyRows(path), np.load(path), (dtype, shape, order, version))


def test_arrays_saved_one_after_the_other_are_refused(tmp_path: Path) -> None:
    """np.load gives the first of them, without a word about the others."""
    with (tmp_path / "x.npy").open("wb") as file:
        np.save(file, np.ones((3, 2)))
        np.save(file, np.ones((4, 2)))
    with pytest.raises(
        InputError, match=r"holds 192 bytes after its array of shape \(3, 2\): save arrays into a file each"
    ):
        NpyRows(tmp_path / "x.npy")


def parquet_layouts() -> Iterator[dict[str, Any]]:
    encodings = ["PLAIN", "BYTE_STREAM_SPLIT", "DELTA_BINARY_PACKED", None]
    compressions = ["none", "snappy", "gzip", "brotli", "lz4", "zstd"]
    for at, (encoding, compression) in enumerate(itertools.product(encodings, compressions)):
        yield {
            "use_dictionary": encoding is None,
            "column_encoding": encoding,
            "compression": compression,
            "version": ("1.0", "2.4", "2.6")[at % 3],
            "data_page_version": ("1.0", "2.0")[at % 2],
            "row_group_size": (3, 5, 100)[at % 3],
            "data_page_size": (64, 1 << 20)[at % 2],
            "write_statistics": at % 5 > 0,
            "store_schema": at % 4 > 0,
            "write_page_checksum": at % 2 == 0,
        }


def writable(layout: dict[str, Any], dtype: str) -> bool:
    """Whether Parquet has this encoding for this type."""
    kind = np.dtype(dtype)
    if layout["column_encoding"] == "DELTA_BINARY_PACKED":
        return kind.kind in "iu"
    if layout["column_encoding"] == "BYTE_STREAM_SPLIT":
        return (kind.kind in "fiu" and kind.itemsize >= 4) or kind.str == "<f2"
    return True


def expected_of(table: pa.Table, name: str) -> np.ndarray[Any, Any]:
    """A column as pyarrow and Python read it: float NaN where something is missing."""
    found = table.column(name).combine_chunks()
    rows = [[row] if not isinstance(row, list) else row for row in found.to_pylist()]
    return np.array([[np.nan if number is None else number for number in row] for row in rows])


@pytest.mark.parametrize("dtype", ["?", "u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f2", "f4", "f8"])
def test_parquet_equals_pyarrow(tmp_path: Path, dtype: str) -> None:
    x = values((13, 3), dtype)
    flat = pa.array(x.reshape(-1))
    table = pa.table(
        {
            "list": pa.ListArray.from_arrays(pa.array(range(0, 40, 3), pa.int32()), flat),
            "large": pa.LargeListArray.from_arrays(pa.array(range(0, 40, 3), pa.int64()), flat),
            "fixed": pa.FixedSizeListArray.from_arrays(flat, 3),
            "number": pa.array(x[:, 0]),
            "gaps": pa.array(x[:, 1], mask=np.arange(13) % 4 == 1),
        }
    )
    for at, layout in enumerate(layout for layout in parquet_layouts() if writable(layout, dtype)):
        path = tmp_path / f"{at}.parquet"
        pq.write_table(table, path, **layout)
        read = pq.read_table(path)
        for name in ("list", "large", "fixed"):
            rows = ParquetRows(path, column=name)
            kind = read.schema.field(name).type.value_type.to_pandas_dtype()  # format 1.0 has no uint32
            stated = layout["write_statistics"] or np.dtype(kind).kind == "f"
            assert rows.dtype == (kind if stated else np.result_type(kind, np.float32))
            compare(rows, expected_of(read, name).astype(rows.dtype), (name, layout))
        rows = ParquetRows(path, columns=["number", "gaps"])
        both = np.hstack([expected_of(read, "number"), expected_of(read, "gaps")])
        compare(rows, both.astype(rows.dtype), layout)


def test_folders_equal_a_dataset_of_the_same_files(tmp_path: Path) -> None:
    """Of files that differ in types, some empty, beside files that are no data."""
    parts = [
        pa.array([1, 2], pa.int8()),
        pa.array([], pa.int32()),
        pa.nulls(1),
        pa.array([2.5, None]),
        pa.array([7], pa.uint16()),
    ]
    for at, part in enumerate(parts):
        folder = tmp_path / f"k={at % 2}"
        folder.mkdir(exist_ok=True)
        pq.write_table(pa.table({"a": part}), folder / f"part.{at}.parquet")
    for name in ("_SUCCESS", "k=0/.part.9.parquet.crc", "_metadata", "k=1/notes.txt"):
        (tmp_path / name).write_bytes(b"no data")
    schema = pa.schema([("a", pa.float64())])
    read = ds.dataset([str(path) for path in sorted(tmp_path.glob("*/*.parquet"))], schema).to_table()
    compare(ParquetRows(tmp_path, columns=["a"]), expected_of(read, "a"))


@pytest.mark.parametrize("dtype", ["i1", "i2", "i4", "i8", "f4", "f8", "?"])
def test_delta_equals_delta_rs(tmp_path: Path, dtype: str) -> None:
    x = values((20, 2), dtype)
    for at in range(4):
        part = x[5 * at : 5 * at + 5]
        table = pa.table(
            {"v": pa.array(list(part)), "a": pa.array(part[:, 0], mask=np.arange(5) == at), "k": [at % 2] * 5}
        )
        write_deltalake(tmp_path / "t", table, mode="append", partition_by=["k"])
    read = DeltaTable(tmp_path / "t").to_pyarrow_table()
    for name, options in (("v", {"column": "v"}), ("a", {"columns": ["a"]})):
        rows = open_rows(tmp_path / "t", **options)  # type: ignore[arg-type]
        compare(rows, expected_of(read, name).astype(rows.dtype), name)

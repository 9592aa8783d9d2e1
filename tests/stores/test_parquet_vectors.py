"""Vectors as other writers store them: all that are numbers in Arrow are read, others are refused by type."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from landmark_ops.errors import InputError
from landmark_ops.stores.sources.parquet_rows import ParquetRows

X = np.random.default_rng(0).normal(size=(6, 4))
SPARK = pa.struct(
    [("type", pa.int8()), ("size", pa.int32()), ("indices", pa.list_(pa.int32())), ("values", pa.list_(pa.float64()))]
)


def rows_of(tmp_path: Path, column: pa.Array, **options: Any) -> ParquetRows:
    pq.write_table(pa.table({"vec": column}), tmp_path / "t.parquet", **options)
    return ParquetRows(tmp_path / "t.parquet", column="vec")


def dense(values: list[float]) -> dict[str, Any]:
    return {"type": 1, "size": None, "indices": None, "values": values}


def sparse(size: int, entries: dict[int, float]) -> dict[str, Any]:
    return {"type": 0, "size": size, "indices": list(entries), "values": list(entries.values())}


def test_spark_vectors_dense_sparse_and_missing(tmp_path: Path) -> None:
    vectors = [None, sparse(4, {1: 2.5, 3: -1.0}), dense([1, 2, 3, 4]), sparse(4, {}), None, dense([5, 6, 7, 8])]
    rows = rows_of(tmp_path, pa.array(vectors, SPARK), row_group_size=4)
    expected = np.array([[np.nan] * 4, [0, 2.5, 0, -1], [1, 2, 3, 4], [0] * 4, [np.nan] * 4, [5, 6, 7, 8]])
    assert rows.shape == (6, 4)
    for start, stop in [(0, 6), (1, 3), (2, 6), (4, 5)]:
        np.testing.assert_array_equal(rows.read(start, stop), expected[start:stop])


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (sparse(5, {0: 1.0}), "row 1: is a sparse Spark vector that does not fit 4 numbers"),
        (sparse(4, {4: 1.0}), "row 1: is a sparse Spark vector that does not fit"),
        (sparse(4, {-1: 1.0}), "row 1: is a sparse Spark vector that does not fit"),
        ({**sparse(4, {0: 1.0}), "values": [1.0, 2.0]}, "row 1: is a sparse Spark vector that does not fit"),
        (dense([1, 2]), "holds 2 numbers, expected 4"),
        ({**dense([1, 2, 3, 4]), "type": 2}, "row 1: is no Spark vector, its type is neither 0 nor 1"),
    ],
)
def test_spark_vectors_that_do_not_fit_are_refused(tmp_path: Path, bad: Any, message: str) -> None:
    rows = rows_of(tmp_path, pa.array([dense([1, 2, 3, 4]), bad], SPARK))
    with pytest.raises(InputError, match=message):
        rows.read(0, 2)


def test_tensors_are_flattened_in_the_order_of_their_axes(tmp_path: Path) -> None:
    pictures = np.arange(6 * 24, dtype=np.float32).reshape(6, 2, 3, 4)
    rows = rows_of(tmp_path, pa.FixedShapeTensorArray.from_numpy_ndarray(pictures))
    assert rows.row_shape == (2, 3, 4)
    np.testing.assert_array_equal(rows.read(1, 6), pictures[1:].reshape(5, 24))
    storage = pa.FixedSizeListArray.from_arrays(pa.array(pictures.reshape(-1)), 24)
    kind = pa.fixed_shape_tensor(pa.float32(), [2, 3, 4], permutation=[2, 0, 1])
    with pytest.raises(InputError, match=r"permutation=\[2,0,1\].*whose axes are permuted: store it in C order"):
        rows_of(tmp_path, pa.ExtensionArray.from_storage(kind, storage))


def test_half_floats_and_booleans_of_extension_types(tmp_path: Path) -> None:
    halves = [[1.5, None], None, [2.0, -0.25]]
    got = rows_of(tmp_path, pa.array(halves, pa.list_(pa.float16()))).read(0, 3)
    assert got.dtype == np.float16
    np.testing.assert_array_equal(got, [[1.5, np.nan], [np.nan, np.nan], [2.0, -0.25]])
    flags = pa.ExtensionArray.from_storage(pa.bool8(), pa.array([0, 1, None], pa.int8()))
    pq.write_table(pa.table({"a": flags}), tmp_path / "x.parquet")
    np.testing.assert_array_equal(ParquetRows(tmp_path / "x.parquet", columns=["a"]).read(0, 3), [[0], [1], [np.nan]])


def test_dictionary_encoding_is_no_type_of_its_own(tmp_path: Path) -> None:
    table = pa.table({"a": pa.array([1.5, 2.5, 1.5, None]).dictionary_encode()})
    pq.write_table(table, tmp_path / "x.parquet")
    rows = ParquetRows(tmp_path / "x.parquet", columns=["a"])
    np.testing.assert_array_equal(rows.read(0, 4), [[1.5], [2.5], [1.5], [np.nan]])


@pytest.mark.parametrize(
    ("column", "message"),
    [
        (pa.array([[b"ab"]], pa.list_(pa.binary(2))), "items are raw bytes that do not say their type .*store float32"),
        (pa.array([b"abcd"]), r"is binary, needed is a list of numbers: raw bytes do not say their type"),
        (pa.array([b"abcd"], pa.binary(4)), "raw bytes do not say their type: store a list of numbers"),
        (pa.array([[[1.0], [2.0]]]), "one vector per row is needed: flatten the lists"),
        (pa.array([{"data": [1.0], "shape": [1]}]), "tensors of several shapes are no rows"),
        (pa.array([{"x": 1.0, "y": 2.0}]), "write the field that is meant as a column of its own"),
        (pa.array([[1.0]]).cast(pa.list_(pa.decimal128(5, 2))), "choose another"),
        (pa.array([["a"]]), "choose another"),
    ],
    ids=["list of binary(2)", "binary", "binary(4)", "nested", "ragged tensor", "struct", "decimals", "text"],
)
def test_other_columns_say_what_they_are(tmp_path: Path, column: pa.Array, message: str) -> None:
    with pytest.raises(InputError, match=message):
        rows_of(tmp_path, column)


@pytest.mark.parametrize(
    ("column", "message"),
    [
        (pa.array([1]).cast(pa.decimal128(38, 2)), "decimals would lose digits unseen, so cast it to double"),
        (pa.array([1], pa.timestamp("us")), "times are no numbers until a unit and an origin are chosen"),
        (pa.array([1], pa.date32()), "times are no numbers"),
        (pa.array([1], pa.duration("s")), "times are no numbers"),
        (pa.array(["a"]).dictionary_encode(), "cast it to its values' type"),
        (pa.array(["a"]), "choose another"),
    ],
)
def test_columns_that_are_no_numbers_say_what_to_do(tmp_path: Path, column: pa.Array, message: str) -> None:
    pq.write_table(pa.table({"a": column}), tmp_path / "x.parquet")
    with pytest.raises(InputError, match=message):
        ParquetRows(tmp_path / "x.parquet", columns=["a"])

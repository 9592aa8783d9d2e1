from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable, write_deltalake
from hypothesis import given, settings
from hypothesis import strategies as st

from landmark_ops.errors import InputError, RunError
from landmark_ops.stores.parquet_rows import ParquetRows, open_delta

RNG = np.random.default_rng(0)
X = RNG.normal(size=(50, 4)).astype(np.float32)
LISTS = ("list", "large_list", "fixed")


def vectors(x: np.ndarray, kind: str = "list") -> pa.Array:
    flat = pa.array(x.reshape(-1))
    if kind == "fixed":
        return pa.FixedSizeListArray.from_arrays(flat, x.shape[1])
    offsets = np.arange(0, x.size + 1, x.shape[1])
    if kind == "large_list":
        return pa.LargeListArray.from_arrays(pa.array(offsets, pa.int64()), flat)
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), flat)


def write(path: Path, x: np.ndarray = X, kind: str = "list", **options: Any) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    table = pa.table({"id": np.arange(len(x)), "vec": vectors(x, kind)})
    pq.write_table(table, path, **{"row_group_size": 16, **options})
    return str(path)


@pytest.mark.parametrize("kind", LISTS)
@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", "i1", "u2", "i8", "?"])
def test_reads_every_list_and_dtype(tmp_path: Path, kind: str, dtype: str) -> None:
    x = (X * 10).astype(dtype)
    rows = ParquetRows(write(tmp_path / "x.parquet", x, kind), column="vec")
    assert (rows.shape, rows.dtype, rows.chunk_rows) == ((50, 4), np.dtype(dtype), 16)
    for start, stop in [(0, 50), (16, 32), (3, 7), (10, 40), (50, 50)]:
        np.testing.assert_array_equal(rows.read(start, stop), x[start:stop])
    indices = np.array([49, 0, 17, 17])
    np.testing.assert_array_equal(rows.take(indices), x[indices])


@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_any_files_groups_and_range_equal_the_original(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("lake")
    lengths = data.draw(st.lists(st.integers(0, 20), min_size=1, max_size=4).filter(any), label="rows per file")
    x = np.random.default_rng(1).normal(size=(sum(lengths), 3))
    at = 0
    for i, length in enumerate(lengths):
        write(folder / f"part={i}" / "data.parquet", x[at : at + length], row_group_size=data.draw(st.integers(1, 9)))
        at += length
    rows = ParquetRows(folder, column="vec")
    start = data.draw(st.integers(0, len(x)))
    stop = data.draw(st.integers(start, len(x)))
    np.testing.assert_array_equal(rows.read(start, stop), x[start:stop])
    indices = np.array(data.draw(st.lists(st.integers(0, len(x) - 1), max_size=6)), np.int64)
    np.testing.assert_array_equal(rows.take(indices), x[indices])


def test_part_of_a_row_group_spanning_several_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("landmark_ops.stores.parquet_rows.BATCH_ROWS", 5)
    rows = ParquetRows(write(tmp_path / "x.parquet", row_group_size=50), column="vec")
    np.testing.assert_array_equal(rows.read(7, 23), X[7:23])


def test_the_only_list_column_needs_no_name(tmp_path: Path) -> None:
    np.testing.assert_array_equal(ParquetRows(write(tmp_path / "x.parquet")).read(0, 50), X)
    pq.write_table(pa.table({"a": [1.0]}), tmp_path / "y.parquet")
    with pytest.raises(InputError, match=r"0 columns of lists .*source\.column or source\.columns.*a \(double\)"):
        ParquetRows(tmp_path / "y.parquet")


def test_whole_row_group_of_vectors_is_not_copied(tmp_path: Path) -> None:
    rows = ParquetRows(write(tmp_path / "x.parquet", kind="fixed"), column="vec")
    assert not rows.read(0, 16).flags.owndata


def test_several_columns_side_by_side(tmp_path: Path) -> None:
    table = pa.table(
        {"a": pa.array([1, 2, 3], pa.int16()), "b": pa.array([0.5, None, 2.5], pa.float32()), "c": ["x"] * 3}
    )
    pq.write_table(table, tmp_path / "x.parquet")
    rows = ParquetRows(tmp_path / "x.parquet", columns=["b", "a"])
    assert rows.dtype == np.float32
    np.testing.assert_array_equal(rows.read(0, 3), np.array([[0.5, 1], [np.nan, 2], [2.5, 3]], np.float32))
    np.testing.assert_array_equal(rows.read(1, 2), np.array([[np.nan, 2]], np.float32))


def test_missing_integers_are_refused(tmp_path: Path) -> None:
    pq.write_table(pa.table({"a": pa.array([1, 2, 3, None])}), tmp_path / "x.parquet", row_group_size=3)
    rows = ParquetRows(tmp_path / "x.parquet", columns=["a"])
    assert rows.read(0, 3).shape == (3, 1)
    with pytest.raises(InputError, match="a, row 3: holds null among int64 values, which have no NaN"):
        rows.read(3, 4)
    pq.write_table(pa.table({"v": pa.array([[1, 2], [3, None]])}), tmp_path / "y.parquet")
    with pytest.raises(InputError, match="v, row 1: holds null among int64"):
        ParquetRows(tmp_path / "y.parquet", column="v").read(0, 2)


def test_missing_floats_in_lists_become_nan(tmp_path: Path) -> None:
    for name, kind in {"x": pa.list_(pa.float64()), "y": pa.list_(pa.float64(), 2)}.items():
        pq.write_table(pa.table({"v": pa.array([[1.0, 2.0], [3.0, None]], kind)}), tmp_path / f"{name}.parquet")
        got = ParquetRows(tmp_path / f"{name}.parquet", column="v").read(0, 2)
        np.testing.assert_array_equal(got, [[1, 2], [3, np.nan]])


@pytest.mark.parametrize("kind", [pa.list_(pa.float32()), pa.large_list(pa.float32())])
def test_ragged_rows_are_named(tmp_path: Path, kind: pa.DataType) -> None:
    lists = pa.array([[1, 2, 3], [4, 5, 6], [1, 2, 3], [7, 8]], kind)
    pq.write_table(pa.table({"v": lists}), tmp_path / "x.parquet", row_group_size=2)
    rows = ParquetRows(tmp_path / "x.parquet", column="v")
    for start in (0, 2, 3):
        with pytest.raises(InputError, match="v, row 3: holds 2 numbers, expected 3 as in row 0"):
            rows.read(start, 4)


@pytest.mark.parametrize("kind", [pa.list_(pa.float32()), pa.list_(pa.float32(), 2)])
def test_missing_rows_are_named(tmp_path: Path, kind: pa.DataType) -> None:
    pq.write_table(pa.table({"v": pa.array([[1, 2], [1, 2], None], kind)}), tmp_path / "x.parquet", row_group_size=2)
    with pytest.raises(InputError, match="v, row 2: is null, expected a list of 2 numbers"):
        ParquetRows(tmp_path / "x.parquet", column="v").read(0, 3)


@pytest.mark.parametrize(("first", "message"), [(None, "row 0: is null"), ([], "hold 0 features")])
def test_first_row_that_gives_no_length(tmp_path: Path, first: list[float] | None, message: str) -> None:
    lists = pa.array([first, [1.0]], pa.list_(pa.float64()))
    pq.write_table(pa.table({"v": lists}), tmp_path / "x.parquet")
    with pytest.raises(InputError, match=message):
        ParquetRows(tmp_path / "x.parquet", column="v")


def test_wrong_columns_list_those_there(tmp_path: Path) -> None:
    path = write(tmp_path / "x.parquet")
    there = r"id \(int64\); vec \(list<.*float>\)"
    with pytest.raises(InputError, match=rf"holds no column 'vecs'; columns there: {there}"):
        ParquetRows(path, column="vecs")
    with pytest.raises(InputError, match=rf"holds no column 'x'; columns there: {there}"):
        ParquetRows(path, columns=["id", "x"])
    with pytest.raises(InputError, match=r"column 'id' is int64, needed is a list of numbers: name .*source\.columns"):
        ParquetRows(path, column="id")
    with pytest.raises(InputError, match=r"column 'vec' is list.*, needed are numbers: name .*source\.column"):
        ParquetRows(path, columns=["vec"])
    with pytest.raises(InputError, match=r"both source\.column and source\.columns are given"):
        ParquetRows(path, column="vec", columns=["id"])
    with pytest.raises(InputError, match=r"source\.columns is empty"):
        ParquetRows(path, columns=[])
    with pytest.raises(InputError, match="names a column twice: id, id"):
        ParquetRows(path, columns=["id", "id"])


def test_no_rows_and_no_files(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds 0 rows"):
        ParquetRows(write(tmp_path / "x.parquet", X[:0]), column="vec")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no Parquet files are there"):
        ParquetRows(tmp_path / "empty")


def test_files_of_different_types_are_refused(tmp_path: Path) -> None:
    write(tmp_path / "lake/a.parquet")
    write(tmp_path / "lake/b.parquet", X.astype("f8"))
    with pytest.raises(InputError, match=r"b\.parquet: column 'vec' is list.*double.*, in .*a\.parquet it is list"):
        ParquetRows(tmp_path / "lake", column="vec")


def test_hidden_files_are_no_data_and_order_is_by_path(tmp_path: Path) -> None:
    write(tmp_path / "lake/k=2/a.parquet", X[:20])
    write(tmp_path / "lake/k=10/a.parquet", X[20:])
    write(tmp_path / "lake/_tmp/a.parquet")
    write(tmp_path / "lake/.a.parquet")
    np.testing.assert_array_equal(
        ParquetRows(tmp_path / "lake", column="vec").read(0, 50), np.concatenate([X[20:], X[:20]])
    )


def test_truncated_file_is_refused(tmp_path: Path) -> None:
    path = Path(write(tmp_path / "x.parquet"))
    whole = path.read_bytes()
    torn_footer = whole[:-60] + b"\xff" * 50 + whole[-10:]
    for damaged in (whole[:-20], b"", torn_footer):
        path.write_bytes(damaged)
        with pytest.raises(InputError, match=r"x\.parquet: is not a whole Parquet file"):
            ParquetRows(path)


def test_damaged_row_group_is_named(tmp_path: Path) -> None:
    path = Path(write(tmp_path / "x.parquet", use_dictionary=False))
    rows = ParquetRows(path, column="vec")
    data = bytearray(path.read_bytes())
    begin = pq.read_metadata(path).row_group(1).column(1).data_page_offset
    data[begin : begin + 40] = b"\xff" * 40
    path.write_bytes(data)
    with pytest.raises(RunError, match=r"x\.parquet: row group 1 cannot be read"):
        rows.read(0, 50)
    begin = pq.read_metadata(path).row_group(0).column(1).data_page_offset
    data[begin : begin + 40] = b"\xff" * 40
    path.write_bytes(data)
    with pytest.raises(InputError, match=r"x\.parquet: its first row cannot be read"):
        ParquetRows(path, column="vec")
    path.unlink()
    with pytest.raises(RunError, match=r"row group 0 cannot be read"):
        pickle.loads(pickle.dumps(rows)).read(0, 5)


def test_pickle_carries_the_index_and_no_footers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for i in range(20):
        write(tmp_path / f"lake/{i:02}.parquet", row_group_size=1)
    rows = ParquetRows(tmp_path / "lake", column="vec")
    rows.read(0, 60)
    sent = pickle.dumps(rows)
    assert len(sent) < 1500 + 20 * 100 + 1000 * 16
    monkeypatch.setattr("landmark_ops.stores.parquet_rows._read_footer", pytest.fail)
    np.testing.assert_array_equal(pickle.loads(sent).read(45, 105), np.concatenate([X[45:], X, X[:5]]))


def test_fingerprint_follows_files_and_columns(tmp_path: Path) -> None:
    write(tmp_path / "lake/a.parquet")
    before = ParquetRows(tmp_path / "lake", column="vec").fingerprint()
    assert ParquetRows(tmp_path / "lake").fingerprint() == before
    assert ParquetRows(tmp_path / "lake", columns=["id"]).fingerprint() != before
    write(tmp_path / "lake/a.parquet", row_group_size=7)
    assert ParquetRows(tmp_path / "lake").fingerprint() != before


def test_delta_reads_the_active_files_of_one_version(tmp_path: Path) -> None:
    uri = str(tmp_path / "the table")  # a space: delta-rs percent-encodes paths
    table = pa.table({"vec": vectors(X), "part": ["a b", "c"] * 25})
    write_deltalake(uri, table, mode="append", partition_by=["part"])
    rows = open_delta(uri, column="vec")
    before = rows.fingerprint()
    expected = np.concatenate([X[::2], X[1::2]])
    np.testing.assert_array_equal(rows.read(0, 50), expected)
    write_deltalake(uri, table.slice(0, 10), mode="overwrite")
    np.testing.assert_array_equal(rows.read(0, 50), expected)
    assert rows.fingerprint() == before
    newer = open_delta(uri)
    assert newer.n == 10
    assert newer.fingerprint() != before


def test_delta_that_files_alone_do_not_describe_is_refused(tmp_path: Path) -> None:
    write_deltalake(tmp_path / "t", pa.table({"a": [1.0, 2.0]}))
    DeltaTable(tmp_path / "t").delete()
    with pytest.raises(InputError, match="holds no files: it has 0 rows"):
        open_delta(tmp_path / "t")
    log = tmp_path / "t/_delta_log/00000000000000000000.json"
    log.write_text(
        log.read_text()
        .replace('"minReaderVersion":1', '"minReaderVersion":3,"readerFeatures":["deletionVectors"]')
        .replace('"minWriterVersion":2', '"minWriterVersion":7,"writerFeatures":["deletionVectors"]')
    )
    with pytest.raises(InputError, match="uses deletionVectors"):
        open_delta(tmp_path / "t")
    log.write_text("{")
    with pytest.raises(InputError, match="Delta table cannot be opened"):
        open_delta(tmp_path / "t")

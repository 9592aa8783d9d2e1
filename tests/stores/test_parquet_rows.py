from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import dask.dataframe as dd
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from landmark_ops.errors import InputError, RunError
from landmark_ops.stores.sources.parquet_rows import ParquetRows
from landmark_ops.stores.sources.source import open_values

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
    monkeypatch.setattr("landmark_ops.stores.sources.parquet_rows.BATCH_ROWS", 5)
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


@pytest.mark.parametrize(
    ("stored", "dtype"),
    [("int8", "f4"), ("uint16", "f4"), ("int32", "f8"), ("int64", "f8"), ("uint64", "f8"), ("bool", "f4")],
)
def test_missing_integers_become_nan(tmp_path: Path, stored: str, dtype: str) -> None:
    values = [True, False, None, True] if stored == "bool" else [1, 2, None, 100]
    expected = np.array([np.nan if value is None else value for value in values], dtype)[:, None]
    pq.write_table(pa.table({"a": pa.array(values, stored)}), tmp_path / "x.parquet", row_group_size=3)
    rows = ParquetRows(tmp_path / "x.parquet", columns=["a"])
    assert rows.dtype == dtype
    np.testing.assert_array_equal(rows.read(0, 4), expected)
    lists = pa.array([[values[0], values[1]], [values[2], values[3]]], pa.list_(pa.type_for_alias(stored)))
    pq.write_table(pa.table({"v": lists}), tmp_path / "y.parquet")
    np.testing.assert_array_equal(ParquetRows(tmp_path / "y.parquet").read(0, 2), expected.reshape(2, 2))
    pq.write_table(pa.table({"a": pa.array(values[:2], stored)}), tmp_path / "z.parquet")
    assert ParquetRows(tmp_path / "z.parquet", columns=["a"]).dtype == np.dtype(stored)  # where none is missing


def test_integers_without_statistics_are_read_as_if_some_were_missing(tmp_path: Path) -> None:
    pq.write_table(pa.table({"a": pa.array([1, None, 3], pa.int16())}), tmp_path / "x.parquet", write_statistics=False)
    rows = ParquetRows(tmp_path / "x.parquet", columns=["a"])
    np.testing.assert_array_equal(rows.read(0, 3), [[1], [np.nan], [3]])


def test_a_null_that_statistics_deny_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("landmark_ops.stores.sources.parquet_columns._may_hold_null", lambda chunk: False)
    pq.write_table(pa.table({"a": pa.array([1, None])}), tmp_path / "x.parquet")
    with pytest.raises(InputError, match="a, row 1: holds null though its file's statistics count none"):
        ParquetRows(tmp_path / "x.parquet", columns=["a"]).read(0, 2)
    pq.write_table(pa.table({"v": pa.array([[1, 2], [3, 4], None])}), tmp_path / "y.parquet")
    with pytest.raises(InputError, match="v, row 2: holds null though"):
        ParquetRows(tmp_path / "y.parquet").read(0, 3)


@pytest.mark.parametrize("stored", ["int64", "uint64"])
def test_integers_that_float64_would_round_are_refused(tmp_path: Path, stored: str) -> None:
    exact = [2**53, 2**60]
    pq.write_table(pa.table({"a": pa.array(exact, stored)}), tmp_path / "x.parquet")
    np.testing.assert_array_equal(ParquetRows(tmp_path / "x.parquet", columns=["a"]).read(0, 2)[:, 0], exact)
    pq.write_table(pa.table({"a": pa.array([*exact, 2**53 + 1], stored), "b": [0.5] * 3}), tmp_path / "y.parquet")
    for columns in (["a"], ["b", "a"]):
        with pytest.raises(InputError, match=r"row 2: holds an integer beyond 2\^53 that float64.*subtract an offset"):
            ParquetRows(tmp_path / "y.parquet", columns=columns).read(0, 3)


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
        with pytest.raises(InputError, match="v, row 3: holds 2 numbers, expected 3 as in the first vector"):
            rows.read(start, 4)


VECTOR_TYPES = [
    pa.list_(pa.float32()),
    pa.large_list(pa.float64()),
    pa.list_(pa.float32(), 2),
    pa.list_view(pa.float32()),
    pa.large_list_view(pa.float16()),
    pa.list_(pa.int64()),
    pa.list_(pa.bool_(), 2),
]


@pytest.mark.parametrize("kind", VECTOR_TYPES, ids=str)
def test_null_and_empty_vectors_are_rows_of_nan(tmp_path: Path, kind: pa.DataType) -> None:
    missing: list[Any] = [None, None] if pa.types.is_fixed_size_list(kind) else [None, []]
    vectors: list[Any] = [*missing, [1, 0], [0, None], [1, 1], *missing, [0, 1]]
    expected = [[np.nan] * 2] * 2 + [[1, 0], [0, np.nan], [1, 1]] + [[np.nan] * 2] * 2 + [[0, 1]]
    if pa.types.is_boolean(kind.value_type):
        vectors = [v and [None if x is None else bool(x) for x in v] for v in vectors]
    pq.write_table(pa.table({"v": pa.array(vectors, kind)}), tmp_path / "x.parquet", row_group_size=4)
    rows = ParquetRows(tmp_path / "x.parquet", column="v")
    assert (rows.shape, rows.dtype.kind) == ((8, 2), "f")
    for start, stop in [(0, 8), (0, 2), (3, 6), (4, 8), (1, 3)]:
        np.testing.assert_array_equal(rows.read(start, stop), np.array(expected)[start:stop])


@pytest.mark.parametrize("vectors", [[None, None], [[], []], [None, []]])
def test_a_column_without_any_vector_is_refused(tmp_path: Path, vectors: list[Any]) -> None:
    pq.write_table(pa.table({"v": pa.array(vectors, pa.list_(pa.float64()))}), tmp_path / "x.parquet")
    with pytest.raises(InputError, match="v: all 2 rows are null or empty, none is a vector"):
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


@pytest.mark.parametrize(
    ("first", "second", "dtype"),
    [
        (pa.array([1, 2]), pa.array([1.5, None]), "f8"),
        (pa.array([1, 2], pa.int16()), pa.array([70_000], pa.int32()), "i4"),
        (pa.array([1, 2], pa.int32()), pa.array([0.5], pa.float32()), "f8"),  # float32 would round large int32
        (pa.array([1.5], pa.float16()), pa.array([0.1], pa.float64()), "f8"),
        (pa.nulls(2), pa.array([1, 2]), "f8"),
        (pa.nulls(0), pa.array([1, 2]), "i8"),
        (pa.array([True, False]), pa.array([3], pa.uint8()), "u1"),
    ],
)
def test_parts_of_other_types_are_widened(tmp_path: Path, first: pa.Array, second: pa.Array, dtype: str) -> None:
    expected = np.array([np.nan if x is None else x for x in first.to_pylist() + second.to_pylist()], dtype)
    for number, parts in enumerate([(first, second), (second, first)]):
        folder = tmp_path / str(number)
        folder.mkdir()
        for at, part in enumerate(parts):
            pq.write_table(
                pa.table({"a": part, "v": pa.array([[x] for x in part.to_pylist()], pa.list_(part.type))}),
                folder / f"{at}.parquet",
            )
        for options in ({"columns": ["a"]}, {"column": "v"}):
            rows = ParquetRows(folder, **options)
            assert rows.dtype == dtype
            turned = expected if not number else np.roll(expected, len(second))
            np.testing.assert_array_equal(rows.read(0, len(expected))[:, 0], turned)


def test_parts_whose_vectors_are_all_missing_are_taken(tmp_path: Path) -> None:
    full, none = pa.array([[1.0, 2.0]]), pa.nulls(2)
    for number, parts in enumerate([(full, none), (none, full), (pa.array([[], [None]], pa.list_(pa.null())), full)]):
        (tmp_path / str(number)).mkdir()
        for at, part in enumerate(parts):
            pq.write_table(pa.table({"v": part}), tmp_path / f"{number}/{at}.parquet")
    missing = [[np.nan, np.nan]] * 2
    np.testing.assert_array_equal(ParquetRows(tmp_path / "0", column="v").read(0, 3), [[1, 2], *missing])
    np.testing.assert_array_equal(ParquetRows(tmp_path / "1").read(0, 3), [*missing, [1, 2]])
    with pytest.raises(InputError, match="row 2: holds 2 numbers, expected 1 as in the first vector"):
        ParquetRows(tmp_path / "2").read(0, 3)


def test_parts_that_lack_the_column_or_hold_something_else_are_refused(tmp_path: Path) -> None:
    write(tmp_path / "lake/a.parquet")
    for stored in (["x"], [[[1.0]]], [1]):
        pq.write_table(pa.table({"vec": stored}), tmp_path / "lake/b.parquet")
        with pytest.raises(
            InputError, match=r"b\.parquet: column 'vec' is .*, in other files .*a\.parquet\) it is list"
        ):
            ParquetRows(tmp_path / "lake", column="vec")
    pq.write_table(pa.table({"other": [1]}), tmp_path / "lake/b.parquet")
    with pytest.raises(InputError, match=r"b\.parquet: column 'vec' is missing: all files must have the same columns"):
        ParquetRows(tmp_path / "lake", column="vec")
    for size in (2, 3):
        pq.write_table(
            pa.table({"v": pa.array([[1.0] * size], pa.list_(pa.float32(), size))}),
            tmp_path / f"lake/{'ab'[size - 2]}.parquet",
        )
    with pytest.raises(InputError, match=r"b\.parquet: column 'v' is fixed_size_list.*\[3\]"):
        ParquetRows(tmp_path / "lake", column="v")


def test_columns_of_one_name_are_refused(tmp_path: Path) -> None:
    pq.write_table(pa.Table.from_arrays([pa.array([1.0]), pa.array([2.0])], ["a", "a"]), tmp_path / "x.parquet")
    with pytest.raises(InputError, match=r"holds 2 columns 'a': rename all but one"):
        ParquetRows(tmp_path / "x.parquet", columns=["a"])


def test_names_with_dots_and_fields_of_the_same_path_are_told_apart(tmp_path: Path) -> None:
    table = pa.table({"a.b": [1.0, 2.0], "a": [{"b": 7.0}, {"b": 8.0}], "v.w": [[1, None], [2, 3]]})
    pq.write_table(table, tmp_path / "x.parquet")
    np.testing.assert_array_equal(ParquetRows(tmp_path / "x.parquet", columns=["a.b"]).read(0, 2), [[1], [2]])
    np.testing.assert_array_equal(ParquetRows(tmp_path / "x.parquet").read(0, 2), [[1, np.nan], [2, 3]])


def test_hidden_files_are_no_data_and_order_is_natural(tmp_path: Path) -> None:
    write(tmp_path / "lake/k=2/a.parquet", X[:20])
    write(tmp_path / "lake/k=10/a1.parquet", X[20:30])
    write(tmp_path / "lake/k=10/a2.parquet", X[30:40])
    write(tmp_path / "lake/k=10/a10.parquet", X[40:])
    write(tmp_path / "lake/_tmp/a.parquet")
    write(tmp_path / "lake/.a.parquet")
    write(tmp_path / "lake/_metadata.parquet")
    rows = ParquetRows(tmp_path / "lake", column="vec")
    np.testing.assert_array_equal(rows.read(0, 50), X)
    with pytest.raises(InputError, match="'k' is a partition key, whose values are in the names of folders"):
        ParquetRows(tmp_path / "lake", columns=["k"])


@pytest.mark.filterwarnings("ignore:The inplace keyword:Warning")  # Dask's own use of pandas
def test_order_of_a_folder_is_that_of_dask(tmp_path: Path) -> None:
    dd.from_pandas(pd.DataFrame({"id": np.arange(60)}), npartitions=12).to_parquet(tmp_path / "lake", write_index=False)
    rows = ParquetRows(tmp_path / "lake", columns=["id"])
    np.testing.assert_array_equal(rows.read(0, 60)[:, 0], np.arange(60))
    np.testing.assert_array_equal(dd.read_parquet(tmp_path / "lake")["id"].compute(), np.arange(60))


def test_fingerprint_tells_an_order_apart_that_is_not_the_sorted_one(tmp_path: Path) -> None:
    write(tmp_path / "2.parquet")
    write(tmp_path / "10.parquet")
    rows = ParquetRows(tmp_path, column="vec")
    natural = rows.fingerprint()
    rows._files = sorted(rows._files)  # as they were once numbered
    assert rows.fingerprint() != natural


@pytest.mark.parametrize(
    ("names", "once"),  # in our order, and in that of whole paths, in which they were once numbered
    [
        (["a/x", "a-b/x"], ["a-b/x", "a/x"]),
        (["k=1/x", "k=1.5/x"], ["k=1.5/x", "k=1/x"]),
        (["k=01/a", "k=01/c", "k=1/b"], ["k=01/a", "k=1/b", "k=01/c"]),
        (["k=02/a", "k=2/b", "k=2/c"], ["k=02/a", "k=2/b", "k=2/c"]),
    ],
)
def test_folders_are_numbered_one_after_the_other(tmp_path: Path, names: list[str], once: list[str]) -> None:
    """An output made in the order of whole paths is not resumed in ours, except where both orders agree."""
    for name in names:
        write(tmp_path / f"{name}.parquet")
    rows = ParquetRows(tmp_path, column="vec")
    assert rows._files == [f"{tmp_path}/{name}.parquet" for name in names]
    now = rows.fingerprint()
    rows._files = [f"{tmp_path}/{name}.parquet" for name in once]
    assert (rows.fingerprint() == now) == (names == once)


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
    monkeypatch.setattr("landmark_ops.stores.sources.parquet_columns._read_footer", pytest.fail)
    np.testing.assert_array_equal(pickle.loads(sent).read(45, 105), np.concatenate([X[45:], X, X[:5]]))


def test_fingerprint_follows_files_and_columns(tmp_path: Path) -> None:
    write(tmp_path / "lake/a.parquet")
    before = ParquetRows(tmp_path / "lake", column="vec").fingerprint()
    assert ParquetRows(tmp_path / "lake").fingerprint() == before
    assert ParquetRows(tmp_path / "lake", columns=["id"]).fingerprint() != before
    write(tmp_path / "lake/a.parquet", row_group_size=7)
    assert ParquetRows(tmp_path / "lake").fingerprint() != before


def test_a_target_that_is_null_is_none(tmp_path: Path) -> None:
    for labels in (pa.array([3, None, 5]), pa.array([True, None, False]), pa.array([0.5, None, 1.5], pa.float32())):
        pq.write_table(pa.table({"y": labels}), tmp_path / "x.parquet")
        got = open_values(tmp_path / "x.parquet", column="y").read(0, 3)
        np.testing.assert_array_equal(got[:, 0], [float("nan") if x is None else x for x in labels.to_pylist()])

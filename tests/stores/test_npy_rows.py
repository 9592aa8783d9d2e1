from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from landmark_ops.errors import InputError, RunError
from landmark_ops.stores.sources.npy_rows import NpyRows


def saved(path: Path, x: np.ndarray) -> str:
    np.save(path, x)
    return str(path)


@pytest.mark.parametrize("dtype", ["<f4", ">f4", "<f8", "f2", "u1", ">i8", "?"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_reads_every_dtype_and_order(tmp_path: Path, dtype: str, order: str) -> None:
    x = np.array(np.arange(60).reshape(10, 3, 2), dtype=dtype, order=order)
    rows = NpyRows(saved(tmp_path / "x.npy", x))
    assert (rows.shape, rows.row_shape, rows.chunk_rows) == ((10, 6), (3, 2), 1)
    assert rows.dtype == x.dtype.newbyteorder("=")
    got = rows.read(2, 9)
    assert got.flags.c_contiguous
    assert got.dtype == rows.dtype
    np.testing.assert_array_equal(got, x.reshape(10, 6)[2:9])
    indices = np.array([9, 0, 3, 3])
    np.testing.assert_array_equal(rows.take(indices), x.reshape(10, 6)[indices])


@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_any_range_equals_the_original(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    n, d = data.draw(st.integers(1, 40)), data.draw(st.integers(1, 9))
    x = np.random.default_rng(n * d).normal(size=(n, d))
    start = data.draw(st.integers(0, n))
    stop = data.draw(st.integers(start, n))
    rows = NpyRows(saved(tmp_path_factory.mktemp("npy") / "x.npy", x))
    np.testing.assert_array_equal(rows.read(start, stop), x[start:stop])


def test_pickles_small(tmp_path: Path) -> None:
    x = np.ones((1000, 50))
    rows = NpyRows(saved(tmp_path / "x.npy", x))
    rows.read(0, 1000)
    sent = pickle.dumps(rows)
    assert len(sent) < 1000
    np.testing.assert_array_equal(pickle.loads(sent).read(5, 7), x[5:7])


def test_truncated_file_is_refused_with_both_sizes(tmp_path: Path) -> None:
    path = saved(tmp_path / "x.npy", np.ones((10, 4)))
    with open(path, "r+b") as file:
        file.truncate(200)
    with pytest.raises(InputError, match=r"truncated, expected 448 bytes .*, found 200: write or copy"):
        NpyRows(path)


@pytest.mark.parametrize("order", ["C", "F"])
def test_file_truncated_after_opening_is_a_run_error(tmp_path: Path, order: str) -> None:
    path = saved(tmp_path / "x.npy", np.ones((10, 4), order=order))  # type: ignore[call-overload]
    rows = NpyRows(path)
    with open(path, "r+b") as file:
        file.truncate(200)
    with pytest.raises(RunError, match=r"truncated.*restore it and run again"):
        rows.read(0, 10)


def test_pickled_objects_are_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.array([[{}, {}]], dtype=object), allow_pickle=True)
    with pytest.raises(InputError, match="elements are object, rows must be float16/32/64 or integers"):
        NpyRows(tmp_path / "x.npy")


def test_structured_and_complex_are_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "s.npy", np.zeros((3, 2), [("a", "f4"), ("b", "f4")]))
    with pytest.raises(InputError, match="elements are"):
        NpyRows(tmp_path / "s.npy")
    with pytest.raises(InputError, match="elements are complex128"):
        NpyRows(saved(tmp_path / "c.npy", np.zeros((3, 2), complex)))


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.zeros(5), "has 1 dimension"),
        (np.zeros((0, 3)), "holds 0 rows"),
        (np.zeros((3, 0)), "hold 0 features"),
    ],
)
def test_shapes_that_are_no_rows_are_refused(tmp_path: Path, x: np.ndarray, message: str) -> None:
    with pytest.raises(InputError, match=message):
        NpyRows(saved(tmp_path / "x.npy", x))


@pytest.mark.parametrize("content", [b"", b"\x93NUMPY", b"<html>not found</html>" * 20])
def test_not_a_npy_file(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.npy").write_bytes(content)
    with pytest.raises(InputError, match=r"not a \.npy file of numbers"):
        NpyRows(tmp_path / "x.npy")


def test_ranges_outside_are_refused(tmp_path: Path) -> None:
    rows = NpyRows(saved(tmp_path / "x.npy", np.ones((10, 4))))
    with pytest.raises(ValueError, match=r"rows 5\.\.11 were asked for, there are rows 0\.\.10"):
        rows.read(5, 11)
    assert rows.read(10, 10).shape == (0, 4)


def test_fingerprint_changes_with_the_file(tmp_path: Path) -> None:
    import os

    path = saved(tmp_path / "x.npy", np.ones((10, 4)))
    before = NpyRows(path).fingerprint()
    assert NpyRows(path).fingerprint() == before
    os.utime(path, ns=(0, 1))
    assert NpyRows(path).fingerprint() != before

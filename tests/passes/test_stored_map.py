"""Opened maps: new rows of any array type are placed, or refused in one line."""

from __future__ import annotations

import pickle
from dataclasses import fields
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import scipy.sparse
import xarray as xr
import zarr

from landmark_ops import InputError, LandmarkMDS, open_rows
from landmark_ops.passes.stored_map import OpenedMap
from landmark_ops.stores.sources.rows import ArrayRows

X = np.random.default_rng(0).normal(size=(90, 4))
FITTED = LandmarkMDS(2, n_landmarks=30, random_state=0).fit(X)
PLACE = OpenedMap(**{part.name: getattr(FITTED.map_, part.name) for part in fields(FITTED.map_)})
EXPECTED = FITTED.transform(X)


@pytest.mark.parametrize(
    "held",
    [
        X,
        np.asfortranarray(X),
        X.tolist(),
        tuple(map(tuple, X)),
        X.reshape(90, 2, 2),
        pd.DataFrame(X, columns=list("dcba")),
        pd.DataFrame(X).convert_dtypes(),
        pa.table({str(at): X[:, at] for at in range(4)}),
        xr.DataArray(X),
        da.from_array(X, chunks=(20, 3)),
        da.from_array(X.reshape(90, 2, 2), chunks=20),
        zarr.array(X),
        ArrayRows(X),
    ],
    ids=lambda held: f"{type(held).__module__.partition('.')[0]}-{type(held).__name__}-{getattr(held, 'ndim', '')}",
)
def test_rows_are_placed_however_they_are_held(held: Any) -> None:
    placed = PLACE(held)
    assert isinstance(placed, da.Array) == (type(held).__module__.partition(".")[0] in ("dask", "zarr", "landmark_ops"))
    assert placed.dtype == np.float64
    np.testing.assert_allclose(np.asarray(placed), EXPECTED, rtol=1e-9, atol=1e-12)


def test_rows_from_files_and_by_another_process(tmp_path: Path) -> None:
    pq.write_table(pa.table({"v": [*X.tolist(), None]}), tmp_path / "x.parquet")
    placed = pickle.loads(pickle.dumps(PLACE))(open_rows(tmp_path / "x.parquet")).compute()
    np.testing.assert_allclose(placed[:90], EXPECTED, rtol=1e-9, atol=1e-12)
    assert np.isnan(placed[90]).all()
    for transform in (PLACE, FITTED.transform):  # packed numbers are decoded before they are placed
        array = zarr.array((X * 1000).astype("i2"), attributes={"scale_factor": 0.001})
        placed = np.asarray(transform(array))
        assert placed.dtype == np.float64
        np.testing.assert_allclose(placed, FITTED.transform((X * 1000).astype("i2") * 0.001), rtol=1e-9, atol=1e-12)


def test_residuals_of_rows_in_memory() -> None:
    expected = FITTED.map_.place(X)
    for held in (X.tolist(), pd.DataFrame(X)):
        np.testing.assert_allclose(PLACE.place(held).residual, expected.residual, rtol=1e-9, atol=1e-12)
    with pytest.raises(InputError, match="got a lazy ArrayRows: pass rows in memory"):
        PLACE.place(ArrayRows(X))


def test_no_rows_and_missing_numbers() -> None:
    assert PLACE(X[:0]).shape == (0, 2)
    frame = pd.DataFrame({"a": pd.array([1, None], "Int64"), "b": [1.0, 2.0], "c": [True, False], "d": [0, 1]})
    np.testing.assert_array_equal(np.isnan(PLACE(frame)).all(axis=1), [False, True])


@pytest.mark.parametrize(
    ("held", "message"),
    [
        (X[0], r"got one row of 4 numbers without an axis of rows: pass it as an array of shape \(1, 4\)"),
        (X[0].tolist(), "got one row of 4 numbers"),
        ([1.0, 2.0], r"has 1 dimension\(s\), rows need at least 2"),
        (X[:, :3], r"rows of shape \(90, 3\) do not fit this map: expected \(b, 4\)"),
        (da.from_array(X[:, :3]), "rows have 3 features, this map places rows of 4"),
        (ArrayRows(X[:, :3]), "rows have 3 features, this map places rows of 4"),
        ([[1, 2], [3]], "no array of equally long rows"),
        ("x.npy", r"got the address 'x\.npy' instead of rows: open it"),
        (None, r"has 0 dimension\(s\)"),
        (X.astype(complex), "elements are complex128"),
        (X.astype(str), "elements are <U"),
        (np.ma.masked_array(X, X > 0), r"pass X\.filled\(numpy\.nan\)"),
        (scipy.sparse.csr_array(X), r"pass X\.toarray\(\)"),
        (zarr.create_group({}), "got a zarr Group: pass one of its arrays"),
        (pd.Series([1.0, 2.0]), r"has 1 dimension\(s\)"),
        (
            pd.DataFrame({"a": [1], "b": ["x"], "c": pd.Categorical([1]), "d": pd.to_datetime(["2020"])}),
            r"got a DataFrame whose columns b, c, d hold no numbers \(3 of 4\): leave them out",
        ),
        (pd.DataFrame({"a": [2**53 + 1], "b": [0.5], "c": [0], "d": [0]}), "column a, row 0: holds an integer beyond"),
        (pd.DataFrame({"a": pd.array([2**53 + 1, None]), "b": 1, "c": 1, "d": 1}), "column a, row 0: holds an integer"),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, str) else value[:20],
)
def test_what_is_no_rows_is_refused_in_one_line(held: Any, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        PLACE(held)
    assert "\n" not in str(caught.value)

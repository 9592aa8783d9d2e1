from __future__ import annotations

import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import scipy.sparse
import zarr
from deltalake import write_deltalake
from hypothesis import given, settings
from hypothesis import strategies as st

from landmark_ops.errors import InputError
from landmark_ops.stores import locations
from landmark_ops.stores.sources.arrays import as_rows
from landmark_ops.stores.sources.dask_rows import DaskRows
from landmark_ops.stores.sources.npy_rows import NpyRows
from landmark_ops.stores.sources.parquet_rows import ParquetRows
from landmark_ops.stores.sources.rows import ArrayRows, Rows
from landmark_ops.stores.sources.source import open_rows
from landmark_ops.stores.sources.zarr_rows import ZarrRows

X = np.random.default_rng(0).normal(size=(30, 3))
TABLE = pa.table({"vec": pa.array(X.tolist()), "a": X[:, 0]})


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same rows, stored in every way."""
    root = tmp_path_factory.mktemp("lake")
    np.save(root / "x.npy", X)
    zarr.create_array(root / "v2.zarr", data=X, chunks=(7, 3), zarr_format=2)
    zarr.create_group(root / "group.zarr").create_array("patches", data=X)
    pq.write_table(TABLE, root / "x.parquet")
    (root / "parts/k=1").mkdir(parents=True)
    pq.write_table(TABLE, root / "parts/k=1/x.parquet")
    write_deltalake(root / "delta", TABLE)
    (root / "other").mkdir()
    (root / "other/notes.txt").write_text("x")
    return root


@pytest.mark.parametrize(
    ("name", "options", "kind"),
    [
        ("x.npy", {}, NpyRows),
        ("v2.zarr", {}, ZarrRows),
        ("group.zarr", {}, ZarrRows),
        ("group.zarr", {"array": "patches", "missing_chunks": "fill"}, ZarrRows),
        ("x.parquet", {"column": "vec"}, ParquetRows),
        ("parts", {"column": "vec"}, ParquetRows),
        ("delta", {"column": "vec"}, ParquetRows),
    ],
)
def test_opens_by_what_is_there(lake: Path, name: str, options: dict[str, Any], kind: type[Rows]) -> None:
    rows = open_rows(lake / name, **options)
    assert type(rows) is kind
    np.testing.assert_array_equal(rows.read(0, 30), X)
    copy = pickle.loads(pickle.dumps(rows))
    assert copy.fingerprint() == rows.fingerprint()
    np.testing.assert_array_equal(copy.take(np.array([3, 1])), X[[3, 1]])
    version = ", version 0" if name == "delta" else ""
    assert rows.describe() == f"{rows.uri}: 30 rows of 3 float64{version}"


def test_relative_and_home_paths(lake: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(lake)
    assert open_rows("x.npy").uri == "x.npy"
    monkeypatch.setenv("HOME", str(lake))
    assert open_rows("~/x.npy").uri == str(lake / "x.npy")
    assert open_rows(f"file://{lake}/v2.zarr/").uri == str(lake / "v2.zarr")


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("x.npy", {"column": "vec"}, r"npy source, source\.column does not apply .*options that do: none"),
        ("x.npy", {"missing_chunks": "fill"}, r"source\.missing_chunks does not apply"),
        ("v2.zarr", {"columns": ["a"]}, r"zarr source, source\.columns does not apply .*array, missing_chunks"),
        ("x.parquet", {"array": "x"}, r"parquet source, source\.array does not apply .*column, columns"),
        ("x.npy", {"version": 0}, r"npy source, source\.version does not apply to it: leave it out"),
        ("v2.zarr", {"version": 3}, r"zarr source, source\.version does not apply"),
        (
            "parts",
            {"version": 3},
            r"parquet source, source\.version does not apply .*options that do: column, columns\)",
        ),
        ("delta", {"array": "x"}, r"delta source, source\.array does not apply"),
    ],
)
def test_options_of_another_kind_are_refused(lake: Path, name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        open_rows(lake / name, **options)


def test_missing_source_names_its_neighbours(lake: Path) -> None:
    with pytest.raises(InputError, match=r"x\.npz: nothing is there \(looked for .*\): nearest names in .*: x\.npy"):
        open_rows(lake / "x.npz")
    with pytest.raises(InputError, match=r"/nowhere does not exist either"):
        open_rows(lake / "nowhere/x.npy")


def test_unknown_kinds(lake: Path) -> None:
    with pytest.raises(InputError, match=r"is a folder of no known kind \(looked for .*\); it holds notes\.txt"):
        open_rows(lake / "other")
    with pytest.raises(InputError, match=r"is a file of no known kind, known are \.npy"):
        open_rows(lake / "other/notes.txt")
    with pytest.raises(InputError, match="scheme gs:// is not supported: use a local path or s3://"):
        open_rows("gs://bucket/x")
    with pytest.raises(InputError, match=r"got '' for an address"):
        open_rows("")
    with pytest.raises(InputError, match="names no bucket or folder"):
        open_rows("s3://")


@pytest.mark.parametrize("name", ["x.npy", "x.parquet", "v2.zarr"])
def test_unreadable_source(lake: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(*args: Any, **kwargs: Any) -> Any:  # tests run as root, whom no mode bits stop
        raise PermissionError(13, "Permission denied")

    for function in ("read_bytes", "children", "stat"):
        monkeypatch.setattr(locations, function, denied)
    monkeypatch.setattr(pq, "ParquetFile", denied)
    with pytest.raises(InputError, match=r"may not be read \(.*Permission denied.*check the permissions"):
        open_rows(lake / name)


def test_memory_addresses() -> None:
    locations.write_bytes("memory://lake/parts/a.parquet", _parquet_bytes())
    rows = open_rows("memory://lake/parts", column="vec")
    np.testing.assert_array_equal(rows.read(0, 30), X)
    assert [entry.key for entry in locations.list_objects("memory://lake")] == ["parts/a.parquet"]


def _parquet_bytes() -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(TABLE, sink)
    return bytes(sink.getvalue())


def test_listing_follows_links_and_ends_in_cycles(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    (tmp_path / "b/x.bin").write_bytes(b"12")
    (tmp_path / "a/link").symlink_to(tmp_path / "b")
    (tmp_path / "b/up").symlink_to(tmp_path / "a")
    assert [(entry.key, entry.size) for entry in locations.list_objects(str(tmp_path / "a"))] == [("link/x.bin", 2)]


def test_writing_bytes_leaves_no_partial_file(tmp_path: Path) -> None:
    target = tmp_path / "deep/x.bin"
    locations.write_bytes(str(target), b"old")
    locations.write_bytes(str(target), b"new")
    assert locations.read_bytes(str(target), 1, 9) == b"ew"
    assert os.listdir(tmp_path / "deep") == ["x.bin"]
    locations.remove(str(tmp_path / "deep"))
    assert locations.is_empty(str(tmp_path / "deep"))


def test_opening_npy_imports_no_storage_library(lake: Path) -> None:
    code = (
        "import sys; from landmark_ops.stores.sources.source import open_rows; "
        f"open_rows({str(lake / 'x.npy')!r}).read(0, 5); "
        "print([m for m in ('fsspec', 's3fs', 'zarr', 'pyarrow', 'deltalake', 'dask') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    "given",
    [X, X.astype(">f4"), np.asfortranarray(X), X.reshape(30, 3, 1), X.tolist(), pd.DataFrame(X), da.from_array(X, 7)],
    ids=["ndarray", "big-endian", "fortran", "3d", "lists", "pandas", "dask"],
)
def test_as_rows_takes_every_array(given: Any) -> None:
    rows = as_rows(given)
    assert rows.shape == (30, 3)
    got = rows.read(4, 9)
    assert got.flags.c_contiguous
    assert got.dtype.isnative
    np.testing.assert_allclose(got, X[4:9], rtol=1e-6)
    np.testing.assert_allclose(rows.take(np.array([9, 1, 1])), X[[9, 1, 1]], rtol=1e-6)


def test_as_rows_passes_rows_and_zarr_arrays() -> None:
    rows = ArrayRows(X)
    assert as_rows(rows) is rows
    assert isinstance(as_rows(zarr.array(X)), ZarrRows)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (scipy.sparse.csr_array(X), r"got a sparse csr_array of shape \(30, 3\).*pass X\.toarray\(\)"),
        (np.ma.masked_array(X, X > 0), r"masks are not supported: pass X\.filled\(numpy\.nan\)"),
        ([[1, 2], [3]], "no array of equally long rows"),
        ([["a", "b"]], "elements are <U1"),
        ([1, 2, 3], r"has 1 dimension\(s\), rows need at least 2"),
        (pd.DataFrame({"a": ["x"]}), r"columns a hold no numbers \(1 of 1\)"),
        ("x.npy", r"got the address 'x\.npy' instead of rows: open it with open_rows"),
        (zarr.create_group(zarr.storage.MemoryStore()), "got a zarr Group: pass one of its arrays"),
    ],
    ids=["sparse", "masked", "ragged", "text", "1d", "frame of text", "address", "group"],
)
def test_as_rows_refuses_what_is_no_rows(given: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        as_rows(given)


def test_dask_array_of_unknown_size() -> None:
    x = da.from_array(X, 7)
    with pytest.raises(InputError, match=r"call array\.compute_chunk_sizes\(\) first"):
        as_rows(x[x[:, 0] > 0])


def test_dask_rows_fingerprint_and_pickle() -> None:
    rows = DaskRows(da.from_array(X, chunks=(7, 2)))
    assert rows.fingerprint() == DaskRows(da.from_array(X, chunks=(7, 2))).fingerprint()
    assert rows.fingerprint() != DaskRows(da.from_array(X + 1, chunks=(7, 2))).fingerprint()
    assert rows.chunk_rows == 7
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(rows)).read(0, 30), X)


@settings(max_examples=20, deadline=None)
@given(data=st.data())
def test_any_dask_chunking_equals_the_original(data: st.DataObject) -> None:
    chunks = data.draw(st.lists(st.integers(1, 9), min_size=1, max_size=5).map(tuple))
    n = sum(chunks)
    x = np.arange(n * 4.0).reshape(n, 2, 2)
    rows = as_rows(da.from_array(x, chunks=(chunks, 1, 2)))
    start = data.draw(st.integers(0, n))
    stop = data.draw(st.integers(start, n))
    np.testing.assert_array_equal(rows.read(start, stop), x.reshape(n, 4)[start:stop])


def test_dask_blocks_that_are_more_than_numbers() -> None:
    masked = da.ma.masked_greater(da.from_array(X, 7), 0)
    with pytest.raises(InputError, match=r"masks are not supported: pass dask\.array\.ma\.filled"):
        as_rows(masked)
    np.testing.assert_array_equal(as_rows(da.ma.filled(masked, np.nan)).read(0, 30), np.where(X > 0, np.nan, X))
    sparse = da.from_array(X, 7).map_blocks(scipy.sparse.csr_array, meta=scipy.sparse.csr_array((0, 0)))
    with pytest.raises(InputError, match=r"its blocks are scipy\.sparse.*csr_array, not ndarrays"):
        as_rows(sparse)
    lying = da.from_array(X, 7).map_blocks(np.ma.masked_invalid, meta=np.empty((0, 0)))
    with pytest.raises(InputError, match="masks are not supported"):
        as_rows(lying).read(0, 3)

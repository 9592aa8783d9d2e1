from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse
import zarr

from landmark_ops.errors import InputError, RunError
from landmark_ops.stores.sources.source import open_rows

S = scipy.sparse.random(60, 20, 0.1, format="csr", dtype=np.float32, random_state=np.random.default_rng(0))


def write(path: Path, matrix: Any = S, where: str = "X", form: str = "csr", **options: Any) -> zarr.Group:
    """As anndata does."""
    group = zarr.open_group(path, mode="a", **options)
    group.attrs["encoding-type"] = "anndata"
    shape = [int(size) for size in matrix.shape]
    inner = group.require_group(where)
    inner.attrs.update({"encoding-type": f"{form}_matrix", "shape": shape})
    for name in ("data", "indices", "indptr"):
        values = getattr(matrix, name)
        inner.create_array(name, data=values, chunks=(17,), config={"write_empty_chunks": True})
    return inner


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_rows_of_a_csr_matrix(tmp_path: Path, zarr_format: int) -> None:
    write(tmp_path / "a.zarr", zarr_format=zarr_format)
    dense = S.toarray()
    for rows in (
        open_rows(tmp_path / "a.zarr"),
        open_rows(tmp_path / "a.zarr", array="X"),
        open_rows(tmp_path / "a.zarr/X"),
    ):
        assert (rows.shape, rows.dtype) == (S.shape, np.float32)
        for start, stop in [(0, 60), (7, 23), (5, 6), (60, 60)]:
            np.testing.assert_array_equal(pickle.loads(pickle.dumps(rows)).read(start, stop), dense[start:stop])
        indices = np.array([59, 0, 7, 7])
        np.testing.assert_array_equal(rows.take(indices), dense[indices])


def test_entries_out_of_order_or_twice_are_added_as_scipy_does(tmp_path: Path) -> None:
    matrix = scipy.sparse.csr_array(
        (np.array([1, 2, 3, 4.0]), np.array([2, 0, 1, 1]), np.array([0, 2, 2, 4])), shape=(3, 3)
    )
    write(tmp_path / "a.zarr", matrix)
    np.testing.assert_array_equal(open_rows(tmp_path / "a.zarr").read(0, 3), [[2, 0, 1], [0, 0, 0], [0, 7, 0]])


def test_what_is_no_csr_matrix_is_told(tmp_path: Path) -> None:
    write(tmp_path / "a.zarr", S.tocsc(), form="csc")
    with pytest.raises(
        InputError, match=r"X: is a sparse csc matrix of 60 x 20, whose rows lie scattered: store X\.tocsr"
    ):
        open_rows(tmp_path / "a.zarr")
    write(tmp_path / "b.zarr")
    with pytest.raises(InputError, match=r"X/data: is a part of the sparse csr matrix .*/X: set source\.array to 'X'"):
        open_rows(tmp_path / "b.zarr", array="X/data")
    write(tmp_path / "b.zarr", where="layers/counts")
    with pytest.raises(InputError, match=r"2 arrays there could be rows.*X \(60 x 20, sparse csr\); layers/counts"):
        open_rows(tmp_path / "b.zarr")
    write(tmp_path / "c.zarr").attrs["shape"] = [59, 20]
    with pytest.raises(InputError, match=r"are no csr matrix of 59 x 20: it is damaged"):
        open_rows(tmp_path / "c.zarr")


@pytest.mark.parametrize(("name", "value"), [("indices", 20), ("indices", -1), ("indptr", 10_000), ("indptr", -1)])
def test_arrays_that_do_not_fit_each_other_are_refused(tmp_path: Path, name: str, value: int) -> None:
    inner = write(tmp_path / "a.zarr")
    inner[name][31] = value  # type: ignore[index]
    with pytest.raises(RunError, match="its data, indices and indptr do not fit each other"):
        open_rows(tmp_path / "a.zarr").read(0, 60)


def test_a_missing_chunk_is_refused_and_part_of_the_fingerprint(tmp_path: Path) -> None:
    write(tmp_path / "a.zarr")
    rows = open_rows(tmp_path / "a.zarr")
    before = rows.fingerprint()
    (tmp_path / "a.zarr/X/data/c/2").unlink()
    assert rows.fingerprint() != before
    with pytest.raises(InputError, match=r"X/data: chunk c/2 \(rows 34..51\) is missing"):
        rows.read(0, 60)

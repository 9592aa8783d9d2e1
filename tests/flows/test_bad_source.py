"""Sources that cannot be read, and rows that have no numbers, no direction or no value: one line that says which."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from landmark_ops.errors import BadRowsError, InputError
from tests.flows.running import (
    arrays,
    attributes,
    landmark_indices,
    make_config,
    run_embed,
    write_npy,
    write_parquet,
    write_zarr,
)
from tests.flows.test_bad_input import X, open_only, refused_by_command, unfinished

pytestmark = pytest.mark.usefixtures("bare_report", "signals")


# --- source


def test_missing_source(tmp_path: Path) -> None:
    write_npy(tmp_path / "patches.npy", X)
    config = make_config(str(tmp_path / "patchez.npy"), tmp_path / "out.zarr")
    message = refused_by_command(tmp_path, config)
    assert re.search(r"patchez\.npy: nothing is there .*: nearest names in .*: patches\.npy", message)
    assert not (tmp_path / "out.zarr").exists()


def test_unreadable_source(tmp_path: Path) -> None:
    (tmp_path / "x.npy").write_bytes(b"<html>not found</html>")
    with pytest.raises(InputError, match=r"x\.npy: .*npy"):
        open_only(make_config(str(tmp_path / "x.npy"), tmp_path / "out.zarr"))


def test_truncated_source(tmp_path: Path) -> None:
    write_npy(tmp_path / "x.npy", X)
    (tmp_path / "x.npy").write_bytes((tmp_path / "x.npy").read_bytes()[:1000])
    with pytest.raises(InputError, match=r"x\.npy: .*truncated, expected 9728 bytes .*, found 1000"):
        open_only(make_config(str(tmp_path / "x.npy"), tmp_path / "out.zarr"))


def test_source_without_permission(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def deny(uri: str) -> bool:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("landmark_ops.stores.locations.is_file", deny)
    with pytest.raises(InputError, match=r"x\.npy: may not be read .*check the permissions"):
        open_only(make_config(str(tmp_path / "x.npy"), tmp_path / "out.zarr"))


def test_wrong_array_name(tmp_path: Path) -> None:
    config = make_config(write_zarr(tmp_path / "x.zarr", X, (100, 6)), tmp_path / "out.zarr")
    config["source"]["array"] = "patches"
    assert re.search(r"patches.*rows", refused_by_command(tmp_path, config))


def test_wrong_column_name(tmp_path: Path) -> None:
    source = write_parquet(tmp_path / "x.parquet", X)
    with pytest.raises(InputError, match=r"vector.*vec"):
        open_only(make_config(source, tmp_path / "out.zarr", source={"column": "vector"}))


def test_zero_rows(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"x\.npy: holds 0 rows, at least 1 is needed"):
        open_only(make_config(write_npy(tmp_path / "x.npy", X[:0]), tmp_path / "out.zarr"))


@pytest.mark.usefixtures("many_tasks")
def test_missing_zarr_chunk(tmp_path: Path) -> None:
    source = write_zarr(tmp_path / "x.zarr", X, (50, 6))
    (tmp_path / "x.zarr/rows/c/3/0").unlink()
    config = make_config(source, tmp_path / "out.zarr")
    config["landmarks"] = {"strategy": "given", "indices": list(range(30))}  # the hole is met while rows are placed
    with pytest.raises(InputError, match=r"rows: chunk c/3/0 \(rows 150\.\.200\) is missing: restore it, or set"):
        run_embed(config)
    assert unfinished(tmp_path / "out.zarr")
    config["output"]["overwrite"] = True
    config["source"]["missing_chunks"] = "fill"
    run_embed(config)
    embedding, _ = arrays(tmp_path / "out.zarr")
    filled = embedding[150:200]
    assert np.isfinite(filled).all()
    np.testing.assert_array_equal(filled, np.broadcast_to(filled[0], filled.shape))  # 50 zero rows, as was asked for


# --- NaN and Inf


def with_bad_rows() -> np.ndarray[Any, Any]:
    bad = X.copy()
    bad[[57, 201, 399], [0, 5, 2]] = [np.nan, np.inf, -np.inf]
    return bad


def landmarks_without(rows: list[int]) -> dict[str, Any]:
    return {"strategy": "given", "indices": [i for i in range(0, 400, 10) if i not in rows], "count": None}


@pytest.mark.usefixtures("many_tasks")
def test_nan_and_inf_rows(tmp_path: Path) -> None:
    config = make_config(write_npy(tmp_path / "x.npy", with_bad_rows()), tmp_path / "out.zarr")
    config["landmarks"] = landmarks_without([57, 201, 399])
    with pytest.raises(BadRowsError, match=r"x\.npy: 3 of 400 rows hold NaN or Inf, the first is row 57: clean"):
        run_embed(config)
    assert unfinished(tmp_path / "out.zarr")


@pytest.mark.usefixtures("many_tasks")
@pytest.mark.parametrize("strategy", ["uniform", "maxmin", "kmeans"])
def test_nan_in_a_landmark_counts_all_rows(tmp_path: Path, strategy: str) -> None:
    config = make_config(write_npy(tmp_path / "x.npy", with_bad_rows()), tmp_path / "out.zarr")
    config["landmarks"] = {"count": 400, "strategy": strategy}  # every row is a landmark, the bad ones too
    message = refused_by_command(tmp_path, config)
    assert (
        "x.npy: 3 of 400 rows hold NaN or Inf, the first is row 57: clean the source, or set source.bad_rows: mark"
        in (message)
    )
    assert unfinished(tmp_path / "out.zarr")


@pytest.mark.usefixtures("many_tasks")
def test_nan_met_by_the_sums(tmp_path: Path) -> None:
    config = make_config(write_npy(tmp_path / "x.npy", with_bad_rows()), tmp_path / "out.zarr")
    config["landmarks"] = landmarks_without([57, 201, 399])
    config["method"]["name"] = "nystroem_kernel_pca"
    with pytest.raises(BadRowsError, match="3 of 400 rows hold NaN or Inf, the first is row 57"):
        run_embed(config)


@pytest.mark.usefixtures("many_tasks")
@pytest.mark.parametrize("name", ["landmark_mds", "nystroem_kernel_pca"])
def test_bad_rows_marked(tmp_path: Path, name: str) -> None:
    config = make_config(write_npy(tmp_path / "x.npy", with_bad_rows()), tmp_path / "out.zarr")
    config["source"]["bad_rows"] = "mark"
    config["method"]["name"] = name
    config["landmarks"]["count"] = 397  # so that bad rows would be landmarks if they were not passed over
    assert run_embed(config)["bad_rows"] == 3
    embedding, residual = arrays(tmp_path / "out.zarr")
    np.testing.assert_array_equal(np.flatnonzero(np.isnan(residual)), [57, 201, 399])
    np.testing.assert_array_equal(np.isnan(embedding).all(axis=1), np.isnan(residual))
    np.testing.assert_array_equal(np.isnan(embedding).any(axis=1), np.isnan(residual))
    assert attributes(tmp_path / "out.zarr")["bad_rows"] == 3
    assert not {57, 201, 399} & set(landmark_indices(tmp_path / "out.zarr"))


def test_bad_rows_are_named_in_the_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pages: list[Any] = []
    monkeypatch.setattr("flows.embed.report.write_report", lambda report, write: pages.append(report))
    config = make_config(write_npy(tmp_path / "x.npy", with_bad_rows()), tmp_path / "out.zarr")
    config["source"]["bad_rows"] = "mark"
    run_embed(config)
    assert any("3 rows hold NaN or Inf" in text and "row 57" in text for text in pages[0].warnings)


def test_almost_nothing_but_bad_rows(tmp_path: Path) -> None:
    bad = np.full((30_000, 6), np.nan, np.float32)
    bad[:30] = X[:30]
    config = make_config(write_npy(tmp_path / "x.npy", bad), tmp_path / "out.zarr", report={"sample": 100})
    config["source"]["bad_rows"] = "mark"
    config["landmarks"] = {"strategy": "given", "indices": list(range(10))}
    config["method"]["n_components"] = 2
    with pytest.raises(InputError, match="1 of 100 rows drawn to measure quality have coordinates, at least 2"):
        run_embed(config)
    assert unfinished(tmp_path / "out.zarr")


ZERO_ROWS = (
    r"x\.npy: 2 of 400 rows are zero rows, which have no direction under metric cosine, the first is row 11: drop "
    r"them, or choose another metric or kernel, or set source\.bad_rows: mark to give such rows NaN coordinates"
)


def test_metric_undefined_on_zero_rows(tmp_path: Path) -> None:
    zeros = X.copy()
    zeros[[11, 222]] = 0
    config = make_config(write_npy(tmp_path / "x.npy", zeros), tmp_path / "out.zarr", method={"metric": "cosine"})
    config["landmarks"] = landmarks_without([11, 222])
    with pytest.raises(InputError, match=ZERO_ROWS):
        run_embed(config)
    assert unfinished(tmp_path / "out.zarr")


def test_metric_undefined_on_a_zero_landmark(tmp_path: Path) -> None:
    zeros = X.copy()
    zeros[[11, 222]] = 0
    config = make_config(write_npy(tmp_path / "x.npy", zeros), tmp_path / "out.zarr", method={"metric": "cosine"})
    config["landmarks"]["count"] = 400
    with pytest.raises(InputError, match=r"2 of 400 rows are zero rows.* under metric cosine, .* row 11"):
        run_embed(config)


@pytest.mark.parametrize("method", [{"metric": "cosine"}, {"name": "nystroem", "kernel": "cosine"}], ids=str)
def test_zero_rows_marked_under_cosine(tmp_path: Path, method: dict[str, Any]) -> None:
    zeros = X.copy()
    zeros[[11, 222]] = 0
    config = make_config(write_npy(tmp_path / "x.npy", zeros), tmp_path / "out.zarr")
    config["method"] = {"n_components": 3, **method}
    config["source"]["bad_rows"] = "mark"
    config["landmarks"]["count"] = 398
    assert run_embed(config)["bad_rows"] == 2
    np.testing.assert_array_equal(np.flatnonzero(np.isnan(arrays(tmp_path / "out.zarr")[1])), [11, 222])


def test_rows_without_a_vector_are_told_or_marked(tmp_path: Path) -> None:
    vectors: list[Any] = X.tolist()
    vectors[7], vectors[123], vectors[301] = None, [], [None, *vectors[301][1:]]
    pq.write_table(pa.table({"v": vectors}), tmp_path / "x.parquet", row_group_size=50)
    config = make_config(str(tmp_path / "x.parquet"), tmp_path / "out.zarr")
    message = (
        r"x\.parquet \(null, or an empty vector, reads as NaN\): 3 of 400 rows hold NaN or Inf, the first is row 7"
    )
    with pytest.raises(BadRowsError, match=message):
        run_embed(config)
    config["source"]["bad_rows"] = "mark"
    run_embed(config)
    bad = np.isnan(arrays(tmp_path / "out.zarr")[0]).any(axis=1)
    assert np.flatnonzero(bad).tolist() == [7, 123, 301]


def test_causes_are_told_apart_and_counted_in_attributes(tmp_path: Path) -> None:
    mixed = X.copy()
    mixed[[11, 222]], mixed[300] = 0, np.nan
    config = make_config(write_npy(tmp_path / "x.npy", mixed), tmp_path / "out.zarr", method={"metric": "cosine"})
    config["landmarks"] = landmarks_without([11, 222, 300])
    with pytest.raises(
        InputError, match=r"1 of 400 rows hold NaN or Inf, the first is row 300; 2 of 400 rows are zero"
    ):
        run_embed(config)
    config["source"]["bad_rows"] = "mark"
    assert run_embed(config)["bad_rows"] == 3
    assert attributes(tmp_path / "out.zarr")["undefined"] == {
        "not_finite": {"rows": 1, "first": 300},
        "zero": {"rows": 2, "first": 11},
    }


def test_a_vanished_kernel_is_named_with_its_bandwidth(tmp_path: Path) -> None:
    far = X.copy()
    far[17] = 1e4
    config = make_config(write_npy(tmp_path / "x.npy", far), tmp_path / "out.zarr")
    config["method"] = {"name": "spectral_embedding", "n_components": 2, "gamma": 0.01}
    config["landmarks"] = landmarks_without([17])
    expected = (
        r"1 of 400 rows lie far .* the kernel vanishes \(kernel rbf with gamma 0\.01\), the first is row 17: choose"
    )
    with pytest.raises(InputError, match=expected):
        run_embed(config)

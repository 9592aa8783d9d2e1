"""Predictions as a run stores and reports them: the target's digits, and undefined rows apart from any class."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zarr

from landmark_ops import InputError, open_map
from landmark_ops.passes.targets import Targets
from landmark_ops.stores.sources.rows import ArrayRows
from tests.flows.running import attributes, make_config, run_embed

pytestmark = pytest.mark.usefixtures("bare_report", "many_tasks")

N = 400
RNG = np.random.default_rng(3)
X = RNG.uniform(-3, 3, (N, 2))
F = np.sin(X[:, 0]) * np.cos(X[:, 1])
NOISE = RNG.normal(size=N)
GP = {"name": "sparse_gp", "gamma": 0.4}
RIDGE = {"name": "nystroem_ridge", "gamma": 0.4, "alpha": 0.1}
CLASSES = {"name": "nystroem_ridge", "task": "classification", "gamma": 0.4, "alpha": 0.1}
ASIDE = ~Targets(ArrayRows(np.zeros((N, 1))), 0.3, 0).trains(0, N)


def run(tmp_path: Path, y: Any, method: dict[str, Any], rows: Any = X, mode: str = "error") -> tuple[Any, Any]:
    """The output's group and its attributes."""
    np.save(tmp_path / "x.npy", rows)
    np.save(tmp_path / "y.npy", y)
    config = make_config(str(tmp_path / "x.npy"), tmp_path / "out.zarr", source={"bad_rows": mode})
    config["landmarks"]["count"] = 60
    run_embed(config | {"method": method, "target": {"uri": str(tmp_path / "y.npy"), "held_out": 0.3}})
    group: Any = zarr.open_group(tmp_path / "out.zarr", mode="r")
    return group, attributes(tmp_path / "out.zarr")


@pytest.mark.parametrize("method", [GP, RIDGE], ids=["gp", "ridge"])
def test_near_a_time_stamp_the_stored_prediction_is_as_good_as_the_reported_one(
    tmp_path: Path, method: dict[str, Any]
) -> None:
    y = 1.7e9 + 3 * F + NOISE
    group, recorded = run(tmp_path, y, method)
    names = [name for name in ("prediction", "std") if name in group]
    assert {group[name].dtype.name for name in names} == {"float64"}
    error = (group["prediction"][...] - y)[ASIDE]
    rmse = np.sqrt((error**2).mean())
    assert 0.85 < rmse < 1.25
    assert recorded["quality"]["rmse"]["value"] == pytest.approx(rmse, rel=1e-9)
    assert recorded["quality"]["r2"]["value"] == pytest.approx(1 - rmse**2 / y[ASIDE].var(), rel=1e-6)
    if "std" in group:
        assert 0.7 < np.median(group["std"][...]) < 1.3
    fitted = open_map(str(tmp_path / "out.zarr"))
    np.testing.assert_allclose(fitted.outputs(fitted.place(X))["prediction"], group["prediction"][...], rtol=1e-15)


def test_a_target_that_is_constant_on_the_rows_held_out_has_no_r2(tmp_path: Path) -> None:
    _, recorded = run(tmp_path, np.where(ASIDE, 0.1, F), RIDGE)
    assert recorded["quality"]["rmse"]["value"] > 0.1
    assert "r2" not in recorded["quality"]


@pytest.mark.parametrize(
    ("pair", "nothing"),
    [
        ((-1, 1), np.iinfo(np.int64).min),
        ((np.iinfo(np.int64).min, np.iinfo(np.int64).max), -1),
        ((2**60, 2**60 + 1), -1),
        ((2**64 - 1, 2**64 - 2), 2**64 - 3),
    ],
    ids=str,
)
def test_undefined_rows_are_no_class_and_take_no_part_in_the_accuracy(
    tmp_path: Path, pair: tuple[int, int], nothing: int
) -> None:
    classes = np.array(pair, np.uint64 if max(pair) > 2**63 else np.int64)
    y = classes[(F > 0).astype(int)]
    bad = np.concatenate([np.flatnonzero(ASIDE)[:20], np.flatnonzero(~ASIDE)[:3]])
    rows = X.copy()
    rows[bad] = np.nan
    group, recorded = run(tmp_path, y, CLASSES, rows, "mark")
    prediction = group["prediction"][...]
    assert prediction.dtype == classes.dtype
    assert set(prediction[bad].tolist()) == {nothing} == {int(group["prediction"].fill_value)}
    assert recorded["undefined_values"] == {"prediction": nothing}
    assert set(np.delete(prediction, bad).tolist()) == set(pair)
    quality, scored = recorded["quality"], np.setdiff1d(np.flatnonzero(ASIDE), bad)
    assert (quality["held_out_rows"], quality["held_out_rows_without_prediction"]) == (len(scored), 20)
    assert quality["accuracy"]["value"] == pytest.approx((prediction == y)[scored].mean())
    assert quality["accuracy"]["value"] > 0.9


def test_a_class_met_only_among_rows_held_out_is_never_taken_for_undefined(tmp_path: Path) -> None:
    """Its value may be that of undefined rows: they are left out of the accuracy, it is wrong there."""
    y = np.where(F > 0, 1, 0)
    strange = np.flatnonzero(ASIDE)[:10]
    y[strange] = -1
    rows = X.copy()
    rows[strange[:5]] = np.nan
    group, recorded = run(tmp_path, y, CLASSES, rows, "mark")
    scored = np.setdiff1d(np.flatnonzero(ASIDE), strange[:5])
    assert recorded["quality"]["held_out_rows"] == len(scored)
    right = (group["prediction"][...] == y)[scored].mean()
    assert recorded["quality"]["accuracy"]["value"] == pytest.approx(right)


def test_rows_without_a_target_are_predicted_and_counted(tmp_path: Path) -> None:
    y = F.copy()
    y[:50] = np.nan
    group, recorded = run(tmp_path, y, RIDGE)
    assert np.isfinite(group["prediction"][...]).all()
    assert recorded["quality"]["rows_without_target"] == 50
    assert recorded["quality"]["held_out_rows"] == ASIDE[50:].sum()
    assert recorded["facts"]["training rows"] == (~ASIDE)[50:].sum()


def test_infinite_targets_are_refused_or_left_out(tmp_path: Path) -> None:
    y = F.copy()
    y[[7, 300]] = np.inf, -np.inf
    with pytest.raises(
        InputError, match=r"target .*y\.npy: 2 of 400 values are Inf, the first is that of row 7: clean"
    ):
        run(tmp_path, y, RIDGE)
    group, recorded = run(tmp_path, y, RIDGE, mode="mark")
    assert np.isfinite(group["prediction"][...]).all()
    assert recorded["quality"]["rows_without_target"] == 2


def test_so_few_rows_that_none_is_held_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pages: list[Any] = []
    monkeypatch.setattr("flows.embed.report.write_report", lambda report, write: pages.append(report))
    np.save(tmp_path / "x.npy", X[:12])
    np.save(tmp_path / "y.npy", F[:12])
    config = make_config(str(tmp_path / "x.npy"), tmp_path / "out.zarr")
    config["landmarks"]["count"] = 6
    run_embed(config | {"method": RIDGE, "target": {"uri": str(tmp_path / "y.npy"), "held_out": 0.001}})
    assert attributes(tmp_path / "out.zarr")["quality"]["held_out_rows"] == 0
    assert any("no row that has a target and a prediction was held out" in text for text in pages[0].warnings)


def test_large_integer_classes_of_a_parquet_column(tmp_path: Path) -> None:
    y = np.where(F > 0, 2**60 + 1, 2**60)
    columns = {"a": X[:, 0], "b": X[:, 1], "y": y}
    pq.write_table(pa.table(columns), tmp_path / "x.parquet", row_group_size=90)
    config = make_config(str(tmp_path / "x.parquet"), tmp_path / "out.zarr")
    config["source"]["columns"] = ["a", "b"]
    config["landmarks"]["count"] = 60
    run_embed(config | {"method": CLASSES, "target": {"column": "y", "held_out": 0.3}})
    group: Any = zarr.open_group(tmp_path / "out.zarr", mode="r")
    assert (group["prediction"][...] == y).mean() > 0.95

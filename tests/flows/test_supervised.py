"""Targets through the flow: predictions with errors, classes, held-out scores, and targets that do not fit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zarr
from sklearn.datasets import make_moons

from flows.embed.inputs import open_run
from landmark_ops import InputError, NystroemRidge, SparseGPRegressor, open_map
from landmark_ops.configs.embed import EmbedConfig
from landmark_ops.passes.targets import Targets
from landmark_ops.stores.sources.rows import ArrayRows
from tests.flows.running import attributes, landmark_indices, make_config, run_embed

pytestmark = pytest.mark.usefixtures("bare_report", "many_tasks")

X = np.random.default_rng(0).uniform(-3, 3, size=(500, 2))
NOISE = 0.1
Y = 40 + 5 * np.sin(X[:, 0]) * np.cos(X[:, 1]) + NOISE * np.random.default_rng(1).normal(size=500)
GP = {"name": "sparse_gp", "gamma": 0.4, "noise": 0.01, "signal": 25.0}


def configure(tmp_path: Path, method: dict[str, Any], y: Any = Y, **target: Any) -> dict[str, Any]:
    group = zarr.create_group(tmp_path / "x.zarr", overwrite=True)
    group.create_array("rows", data=X, chunks=(60, 2))
    group.create_array("y", data=np.asarray(y), chunks=(70, 1)[: np.ndim(y)])
    config = make_config(str(tmp_path / "x.zarr"), tmp_path / "out.zarr")
    config["source"]["array"] = "rows"
    config["landmarks"]["count"] = 60
    return config | {"method": method, "target": {"array": "y", **target}}


def outputs(uri: Path) -> dict[str, Any]:
    group: Any = zarr.open_group(uri, mode="r")
    return {name: group[name][...] for name in ("prediction", "std") if name in group}


def held_out(share: float) -> Any:
    return ~Targets(ArrayRows(np.zeros((500, 1))), share, 0).trains(0, 500)


def test_a_gaussian_process_writes_mean_and_error(tmp_path: Path) -> None:
    run_embed(configure(tmp_path, GP, held_out=0.0))
    found = outputs(tmp_path / "out.zarr")
    assert {name: values.dtype.name for name, values in found.items()} == {"prediction": "float32", "std": "float32"}
    chosen = landmark_indices(tmp_path / "out.zarr")
    fitted = SparseGPRegressor(gamma=0.4, noise=0.01, signal=25.0, selection=chosen).fit(X, Y)
    mean, std = fitted.predict(X, return_std=True)
    np.testing.assert_allclose(found["prediction"], mean, atol=1e-4)
    np.testing.assert_allclose(found["std"], std, rtol=1e-4)
    assert "held_out_rows" not in attributes(tmp_path / "out.zarr")["quality"]


def test_scores_are_those_of_the_rows_held_out(tmp_path: Path) -> None:
    run_embed(configure(tmp_path, GP, held_out=0.3))
    aside = held_out(0.3)
    found, quality = outputs(tmp_path / "out.zarr"), attributes(tmp_path / "out.zarr")["quality"]
    error = found["prediction"][aside] - Y[aside]
    std = found["std"][aside]
    nlpd = (0.5 * np.log(2 * np.pi * std**2) + error**2 / (2 * std**2)).mean()
    assert quality["held_out_rows"] == aside.sum()
    assert quality["rmse"]["value"] == pytest.approx(np.sqrt((error**2).mean()), rel=1e-5)
    assert quality["nlpd"]["value"] == pytest.approx(nlpd, rel=1e-5)
    assert quality["r2"]["value"] == pytest.approx(1 - (error**2).mean() / Y[aside].var(), rel=1e-5)
    assert 0.8 * NOISE < quality["rmse"]["value"] < 1.5 * NOISE
    assert "stress" not in quality  # distances between predictions mean nothing


def test_rows_held_out_are_not_learned_from(tmp_path: Path) -> None:
    run_embed(configure(tmp_path, GP, held_out=0.3))
    first = outputs(tmp_path / "out.zarr")["prediction"]
    spoilt = np.where(held_out(0.3), 1e6, Y)
    config = configure(tmp_path, GP, spoilt, held_out=0.3)
    config["output"]["overwrite"] = True
    run_embed(config)
    np.testing.assert_array_equal(outputs(tmp_path / "out.zarr")["prediction"], first)


def test_parameters_left_out_are_found(tmp_path: Path) -> None:
    run_embed(configure(tmp_path, {"name": "sparse_gp"}))
    recorded = attributes(tmp_path / "out.zarr")
    assert recorded["facts"]["noise variance"] == pytest.approx(NOISE**2, rel=0.5)
    assert recorded["quality"]["rmse"]["value"] < 1.5 * NOISE


def test_ridge_from_a_parquet_column(tmp_path: Path) -> None:
    pq.write_table(pa.table({"a": X[:, 0], "b": X[:, 1], "y": Y}), tmp_path / "x.parquet", row_group_size=70)
    config = make_config(str(tmp_path / "x.parquet"), tmp_path / "out.zarr")
    config["source"]["columns"] = ["a", "b"]
    config["landmarks"]["count"] = 60
    method = {"name": "nystroem_ridge", "gamma": 0.4, "alpha": 0.01}
    run_embed(config | {"method": method, "target": {"column": "y", "held_out": 0.0}})
    chosen = landmark_indices(tmp_path / "out.zarr")
    expected = NystroemRidge(gamma=0.4, alpha=0.01, selection=chosen).fit(X, Y).predict(X)
    np.testing.assert_allclose(outputs(tmp_path / "out.zarr")["prediction"], expected, atol=1e-4)


def test_classes_and_their_accuracy(tmp_path: Path) -> None:
    moons, moon = make_moons(600, noise=0.1, random_state=0)
    np.save(tmp_path / "x.npy", moons)
    np.save(tmp_path / "y.npy", moon * 3 + 7)
    config = make_config(str(tmp_path / "x.npy"), tmp_path / "out.zarr")
    method = {"name": "nystroem_ridge", "task": "classification", "gamma": 5.0, "alpha": 0.1}
    target = {"uri": str(tmp_path / "y.npy"), "held_out": 0.25}
    run_embed(config | {"method": method, "target": target})
    prediction = outputs(tmp_path / "out.zarr")["prediction"]
    assert prediction.dtype == np.int64
    assert set(prediction.tolist()) == {7, 10}
    aside = ~Targets(ArrayRows(np.zeros((600, 1))), 0.25, 0).trains(0, 600)
    accuracy = (prediction == moon * 3 + 7)[aside].mean()
    assert accuracy > 0.98
    assert attributes(tmp_path / "out.zarr")["quality"]["accuracy"]["value"] == pytest.approx(accuracy)
    fitted = open_map(str(tmp_path / "out.zarr"))
    np.testing.assert_array_equal(fitted.outputs(fitted.place(moons))["prediction"], prediction)


@pytest.mark.parametrize(
    ("y", "target", "match"),
    [
        (Y[:400], {}, r"target .*x\.zarr/y: 400 values for 500 rows of .*rows: one per row is needed"),
        (np.stack([Y, Y], axis=1), {}, r"target .*x\.zarr/y: 2 values per row, one is needed"),
        (Y, {"array": "z"}, r".*z.*"),
        (np.full(500, np.nan), {}, r"target.*"),
    ],
)
def test_targets_that_do_not_fit(tmp_path: Path, y: Any, target: dict[str, Any], match: str) -> None:
    with pytest.raises(InputError, match=match):
        run_embed(configure(tmp_path, GP, y, **target))
    assert not (tmp_path / "out.zarr").exists()


def test_another_target_is_another_run(tmp_path: Path) -> None:
    run_embed(configure(tmp_path, GP))
    with pytest.raises(InputError, match=r"holds a complete embedding made with another source, or the source has"):
        run_embed(configure(tmp_path, GP, Y + 1))


def test_a_missing_chunk_of_the_target_is_no_row_of_zeros(tmp_path: Path) -> None:
    y = Y.copy()
    y[70:140] = 0  # a chunk that zarr leaves out
    config = configure(tmp_path, GP, y)
    with pytest.raises(
        InputError,
        match=r"x\.zarr/y: chunk c/1 \(rows (70|120)\.\.(120|140)\) is missing.*source\.missing_chunks: fill",
    ):
        run_embed(config)
    config["source"]["missing_chunks"] = "fill"
    targets = open_run(EmbedConfig.model_validate(config)).targets
    assert targets is not None
    np.testing.assert_array_equal(targets.read(0, 500)[:, 0], y)

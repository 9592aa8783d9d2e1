"""Rows placed by the map of an earlier embedding: `map: URI`, `landmarks place`."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
import zarr
from numpy.typing import NDArray
from typer.testing import CliRunner

from flows.base.progress import Progress
from flows.cli.app import app
from flows.cli.plan import describe_plan
from flows.cli.verify import verify_place
from flows.embed import report as reporting
from flows.embed.inputs import open_run
from flows.embed.repair import repair
from landmark_ops import InputError, RunError, open_map
from landmark_ops.configs.embed import EmbedConfig
from landmark_ops.report.content import EmbedReport
from landmark_ops.stores.sources.npy_rows import NpyRows
from tests.flows.interrupting import interrupt, watching
from tests.flows.running import arrays, attributes, make_config, points, run_embed, write_npy

pytestmark = pytest.mark.usefixtures("bare_report", "many_tasks")

X = points()
NEW = points(250, seed=5)
Y = (X[:, 0] - X[:, 1] ** 2).astype(np.float32)
METHODS: dict[str, dict[str, Any]] = {
    "mds": {"name": "landmark_mds", "n_components": 3},
    "mds of another metric, aligned": {"name": "landmark_mds", "metric": "cityblock", "align": True, "n_components": 2},
    "kernel PCA": {"name": "nystroem_kernel_pca", "n_components": 3},
    "features": {"name": "nystroem"},
    "clusters": {"name": "spectral_clustering", "n_clusters": 3, "gamma": 0.01},
    "diffusion": {"name": "landmark_diffusion_map", "n_components": 3, "gamma": 0.01},
    "lll": {"name": "locally_linear_landmarks", "n_components": 2},
    "ridge": {"name": "nystroem_ridge"},
    "classes": {"name": "nystroem_ridge", "task": "classification"},
    "process": {"name": "sparse_gp", "noise": 0.1},
}
LEARNING = ("ridge", "classes", "process")


def fit_config(folder: Path, kind: str = "mds") -> dict[str, Any]:
    config = make_config(write_npy(folder / "x.npy", X), folder / "fit.zarr")
    config["method"] = METHODS[kind]
    if kind in LEARNING:
        target = (Y.mean() < Y).astype(np.int64) if kind == "classes" else Y
        config["target"] = {"uri": write_npy(folder / "y.npy", target)}
    return config


def placing(folder: Path, rows: NDArray[Any] = NEW, **sections: Any) -> dict[str, Any]:
    """The config that places rows by the embedding in fit.zarr."""
    config: dict[str, Any] = {
        "source": {"uri": write_npy(folder / "new.npy", rows)},
        "output": {"uri": str(folder / "placed.zarr")},
        "map": str(folder / "fit.zarr"),
        "cluster": {"workers": 2},
        "report": {"sample": 200},
    }
    return {**config, **sections}


def stored(uri: Path) -> dict[str, NDArray[Any]]:
    """The arrays of rows of an output, read by plain zarr."""
    group: Any = zarr.open_group(str(uri), mode="r")
    return {name: np.asarray(array[...]) for name, array in group.arrays()}


def digests(uri: Path) -> dict[str, str]:
    return {name: hashlib.sha256(values.tobytes()).hexdigest() for name, values in stored(uri).items()}


def placed_by(fit: Path, output: Path, rows: NDArray[Any] = NEW) -> dict[str, NDArray[Any]]:
    """What the map gives of the same ranges of rows as were written together: products of other shapes round apart."""
    place, step = open_map(str(fit)), int(attributes(output)["chunk_rows"])
    parts: list[dict[str, NDArray[Any]]] = []
    for start in range(0, len(rows), step):
        X = rows[start : start + step]
        embedding, residual, read = place.stored(place.place(X))
        np.testing.assert_array_equal(embedding, place(X).astype(np.float32))
        parts.append({"embedding": embedding, "residual": residual, **read})
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with x.npy and fit.zarr, by Landmark MDS."""
    folder = tmp_path_factory.mktemp("fitted")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("flows.embed.report.write_report", lambda report, write: None)
        run_embed(fit_config(folder))
    return folder


@pytest.fixture
def folder(tmp_path: Path, fitted: Path) -> Path:
    copy = tmp_path / "copy"
    shutil.copytree(fitted, copy)
    return copy


@pytest.mark.parametrize("kind", METHODS)
def test_rows_are_where_the_map_puts_them(tmp_path: Path, kind: str) -> None:
    """Bit for bit as `open_map` has them; those of the fit's own source byte for byte as the fit stored them."""
    run_embed(fit_config(tmp_path, kind))
    run_embed(placing(tmp_path))
    expected, found = placed_by(tmp_path / "fit.zarr", tmp_path / "placed.zarr"), stored(tmp_path / "placed.zarr")
    assert found.keys() == expected.keys()
    for name, values in found.items():
        assert values.dtype == expected[name].dtype
        np.testing.assert_array_equal(values, expected[name])
    assert np.isfinite(found["embedding"]).all()
    again = placing(tmp_path, X, output={"uri": str(tmp_path / "again.zarr")})
    run_embed(again)
    assert digests(tmp_path / "again.zarr") == digests(tmp_path / "fit.zarr")
    assert not [damage for one in verify_place(str(tmp_path / "placed.zarr")) for damage in one.damaged]


def test_geodesics_of_new_rows_go_through_the_support(tmp_path: Path) -> None:
    config = fit_config(tmp_path) | {"method": {"name": "landmark_isomap", "n_components": 2}}
    run_embed(config)
    run_embed(placing(tmp_path))
    np.testing.assert_array_equal(arrays(tmp_path / "placed.zarr")[0], open_map(str(tmp_path / "fit.zarr"))(NEW))


def test_rows_that_are_distances_already(tmp_path: Path) -> None:
    D = np.sqrt(((X[:, None] - X[None, :30]) ** 2).sum(axis=2)).astype(np.float32)
    config = make_config(write_npy(tmp_path / "x.npy", D), tmp_path / "fit.zarr", method={"metric": "precomputed"})
    config["landmarks"] = {"count": 30, "strategy": "given", "indices": list(range(30))}
    run_embed(config)
    run_embed(placing(tmp_path, D[:50]))
    np.testing.assert_array_equal(arrays(tmp_path / "placed.zarr")[0], arrays(tmp_path / "fit.zarr")[0][:50])
    with pytest.raises(InputError, match=r"takes rows of 30 features, those of .* have 29"):
        run_embed(placing(tmp_path, D[:, :29].copy()))


def test_chunks_and_workers_do_not_matter(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run_embed(placing(folder))
    few = digests(folder / "placed.zarr")
    monkeypatch.setattr("landmark_ops.passes.ranges.TASK_BYTES", 1 << 20)
    config = placing(folder, cluster={"workers": 1}, output={"uri": str(folder / "other.zarr")})
    run_embed(config)
    assert digests(folder / "other.zarr") == few
    assert attributes(folder / "other.zarr")["chunk_rows"] != attributes(folder / "placed.zarr")["chunk_rows"]


def test_the_output_says_what_made_it(folder: Path) -> None:
    run_embed(placing(folder))
    fit, placed = attributes(folder / "fit.zarr"), attributes(folder / "placed.zarr")
    assert placed["map"] == {"uri": str(folder / "fit.zarr"), "sha256": fit["map_sha256"]}
    assert placed["map_sha256"] == fit["map_sha256"]  # the map itself is a copy
    assert (placed["method"], placed["parameters"]) == (fit["method"], fit["parameters"])
    assert placed["config"]["map"] == str(folder / "fit.zarr")
    assert not {"method", "landmarks", "target"} & placed["config"].keys()
    assert placed["source"]["shape"] == [250, 6]
    assert {"stress", "trustworthiness"} <= placed["quality"].keys()
    assert EmbedConfig.model_validate(placed["config"]).map == placed["map"]["uri"]
    assert not {"select", "solve"} & placed["seconds"].keys()
    group: Any = zarr.open_group(str(folder / "placed.zarr"), mode="r")
    assert (group["landmarks/indices"][...] == -1).all()  # they are rows of another source
    original: Any = zarr.open_group(str(folder / "fit.zarr"), mode="r")
    np.testing.assert_array_equal(group["landmarks/points"][...], original["landmarks/points"][...])


def test_an_output_that_was_placed_places_rows_itself(folder: Path) -> None:
    run_embed(placing(folder))
    run_embed(placing(folder, map=str(folder / "placed.zarr"), output={"uri": str(folder / "third.zarr")}))
    shutil.rmtree(folder / "fit.zarr")
    assert digests(folder / "third.zarr") == digests(folder / "placed.zarr")
    np.testing.assert_array_equal(open_map(str(folder / "third.zarr"))(NEW), arrays(folder / "placed.zarr")[0])


def test_rows_are_read_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[tuple[int, int]] = []
    plain = NpyRows.read

    def counted(self: NpyRows, start: int, stop: int) -> Any:
        read.append((start, stop))
        return plain(self, start, stop)

    monkeypatch.setattr(NpyRows, "read", counted)
    run_embed(placing(folder))
    assert len(read) > 3
    assert sum(stop - start for start, stop in read) == len(NEW)
    assert len(set(read)) == len(read)


def test_killed_and_run_again(folder: Path) -> None:
    run_embed(placing(folder, output={"uri": str(folder / "reference.zarr")}))
    config = placing(folder)
    interrupt(config, count=3)
    assert attributes(folder / "placed.zarr")["status"] == "partial"
    with watching() as seen:
        assert run_embed(config)["outcome"] == "resumed"
    chunks = -(-len(NEW) // attributes(folder / "placed.zarr")["chunk_rows"])
    assert 0 < len(seen["extend"]) < chunks
    assert digests(folder / "placed.zarr") == digests(folder / "reference.zarr")
    assert run_embed(config)["outcome"] == "already complete"


def test_a_map_that_changed_makes_another_output(folder: Path) -> None:
    config = placing(folder)
    run_embed(config)
    before = digests(folder / "placed.zarr")
    shutil.move(folder / "fit.zarr", folder / "moved.zarr")
    assert run_embed({**config, "map": str(folder / "moved.zarr")})["outcome"] == "already complete"
    other = fit_config(folder)
    other["landmarks"] = {"count": 20, "seed": 3}
    run_embed(other)
    with pytest.raises(
        InputError, match=r"holds a complete embedding made with another map at .*fit\.zarr: set output"
    ):
        run_embed(config)
    assert digests(folder / "placed.zarr") == before
    config["output"]["overwrite"] = True
    assert run_embed(config)["outcome"] == "done"
    assert digests(folder / "placed.zarr") != before
    np.testing.assert_array_equal(arrays(folder / "placed.zarr")[0], open_map(str(folder / "fit.zarr"))(NEW))


def test_half_placed_by_a_map_that_changed_is_not_gone_on_with(folder: Path) -> None:
    config = placing(folder)
    interrupt(config, count=3)
    other = fit_config(folder)
    other["landmarks"] = {"count": 20, "seed": 3}
    other["output"]["overwrite"] = True
    run_embed(other)
    with pytest.raises(InputError, match=r"an unfinished embedding made with another map at .*fit\.zarr"):
        run_embed(config)


def test_fitted_and_placed_are_told_apart(folder: Path) -> None:
    config = placing(folder)
    run_embed(config)
    fit = fit_config(folder)
    fit["source"]["uri"], fit["output"]["uri"] = str(folder / "new.npy"), str(folder / "placed.zarr")
    with pytest.raises(InputError, match=r"made with the map of .*fit\.zarr instead of a method of its own"):
        run_embed(fit)
    fit["output"]["uri"] = str(folder / "anew.zarr")
    run_embed(fit)
    with pytest.raises(InputError, match=r"made with a method of its own instead of the map of .*fit\.zarr"):
        run_embed({**config, "output": {"uri": str(folder / "anew.zarr")}})


@pytest.mark.parametrize(
    ("place", "match"),
    [
        ("nowhere.zarr", r"map .*nowhere\.zarr: no complete embedding to place rows by: nothing is there"),
        ("partial.zarr", r"map .*partial\.zarr: no complete embedding to place rows by: its status is partial"),
        ("else.zarr", r"map .*else\.zarr: no complete embedding to place rows by: something else is there"),
        ("unknown.zarr", r"map .*unknown\.zarr: made by method their_own, which is not known here"),
        ("newer.zarr", r"map .*newer\.zarr: made by landmark_mds with parameters that it does not have here"),
        ("placed.zarr", r"output\.uri .*placed\.zarr: overlaps the map .*placed\.zarr: choose another place"),
    ],
)
def test_maps_that_cannot_be_used(folder: Path, place: str, match: str) -> None:
    changes: dict[str, dict[str, Any]] = {
        "partial.zarr": {"status": "partial"},
        "unknown.zarr": {"method": "their_own"},
        "newer.zarr": {"parameters": {"n_components": 3, "curvature": 1}},
    }
    if place in changes:
        shutil.copytree(folder / "fit.zarr", folder / place)
        group = zarr.open_group(str(folder / place))
        group.attrs["landmark_ops"] = {**attributes(folder / place), **changes[place]}
    if place == "else.zarr":
        zarr.create_group(folder / place).create_array("rows", data=X)
    with pytest.raises(InputError, match=match):
        run_embed(placing(folder, map=str(folder / place)))
    assert not (folder / "placed.zarr").exists()


def test_a_map_that_is_damaged(folder: Path) -> None:
    [chunk, *_] = sorted(path for path in (folder / "fit.zarr" / "map").rglob("c/*") if path.is_file())
    chunk.write_bytes(chunk.read_bytes()[:-3])
    from landmark_ops.passes.stored_map import load_map

    load_map.cache_clear()
    with pytest.raises(RunError, match=r"fit\.zarr: .*damaged"):
        run_embed(placing(folder))


def test_other_features(folder: Path) -> None:
    with pytest.raises(InputError, match=r"map .*fit\.zarr: takes rows of 6 features, those of .*new\.npy have 5"):
        run_embed(placing(folder, NEW[:, :5].copy()))


def test_bad_rows(folder: Path) -> None:
    spoilt = NEW.copy()
    spoilt[[7, 200]] = np.nan
    config = placing(folder, spoilt)
    with pytest.raises(InputError, match=r"2 of 250 rows .*7"):
        run_embed(config)
    config["source"]["bad_rows"] = "mark"
    assert run_embed(config)["bad_rows"] == 2
    found = arrays(folder / "placed.zarr")[0]
    assert np.flatnonzero(np.isnan(found).any(axis=1)).tolist() == [7, 200]
    np.testing.assert_array_equal(found, open_map(str(folder / "fit.zarr"))(spoilt))


def test_fewer_rows_than_landmarks(folder: Path) -> None:
    for count in (1, 2, 5):
        config = placing(folder, NEW[:count], output={"uri": str(folder / "few.zarr"), "overwrite": True})
        run_embed(config)
        np.testing.assert_array_equal(arrays(folder / "few.zarr")[0], open_map(str(folder / "fit.zarr"))(NEW[:count]))


def test_repair(folder: Path) -> None:
    config = EmbedConfig.model_validate(placing(folder))
    run_embed(placing(folder))
    before = digests(folder / "placed.zarr")
    chunk = next(
        path
        for path in sorted((folder / "placed.zarr" / "embedding").rglob("*"))
        if path.is_file() and path.name != "zarr.json"
    )
    chunk.unlink()
    assert sum(len(one.damaged) for one in verify_place(str(folder / "placed.zarr"))) == 1
    [done] = repair(config, Progress())
    assert (done.chunks, verify_place(str(folder / "placed.zarr"))[0].damaged) == (1, [])
    assert digests(folder / "placed.zarr") == before


def test_the_plan(folder: Path) -> None:
    lines = describe_plan(EmbedConfig.model_validate(placing(folder)))
    fit = describe_plan(EmbedConfig.model_validate(fit_config(folder) | {"output": {"uri": str(folder / "o.zarr")}}))
    assert any("30 → 3 components" in line for line in lines)
    assert any("in 1 pass" in line and "passes" not in line for line in lines)
    assert any("passes" in line for line in fit)
    assert open_run(EmbedConfig.model_validate(placing(folder))).plan().write_bytes == 250 * 4 * 4


def test_the_report(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pages: list[EmbedReport] = []
    monkeypatch.setattr(reporting, "write_report", lambda report, write: pages.append(report))
    run_embed(placing(folder))
    [page] = pages
    assert f"placed in 3 dimensions by the stored map of {folder / 'fit.zarr'}, Landmark MDS from 30" in page.summary
    assert page.spectrum is None
    assert page.provenance["map"].startswith(f"that of {folder / 'fit.zarr'}, sha256 ")
    assert not page.warnings
    assert [measure.name for measure in page.quality][:1] == ["stress-1"]


def test_commands(folder: Path) -> None:
    path, fit = folder / "place.yaml", folder / "fit.yaml"
    path.write_text(yaml.safe_dump(placing(folder)))
    fit.write_text(yaml.safe_dump(fit_config(folder)))
    runner = CliRunner()
    assert runner.invoke(app, ["place", str(path), "-q"]).exit_code == 0
    for command in ("place", "embed"):
        found = runner.invoke(app, [command, str(path), "-q"])
        assert found.exit_code == 0
        assert found.stdout.startswith("already complete")
    refused = runner.invoke(app, ["place", str(fit)])
    assert refused.exit_code == 2
    assert (
        refused.stderr == f"landmarks: {fit}: map is missing: name the complete embedding whose map places the rows\n"
    )
    assert f"map  that of {folder / 'fit.zarr'}" in runner.invoke(app, ["inspect", str(folder / "placed.zarr")]).stdout

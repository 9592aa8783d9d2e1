"""Every method through the flow: its arrays, equality with the estimator, several methods in one run, resumed runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from numpy.typing import NDArray
from sklearn.datasets import make_moons, make_swiss_roll

import landmark_ops
from flows.base.progress import Progress
from landmark_ops import InputError, open_map
from landmark_ops.engine.threads import LocalEngine
from landmark_ops.numerics.kernel import resolve_kernel
from landmark_ops.selection.probe import probe_rows
from landmark_ops.solver.section import METHODS
from landmark_ops.stores.sources.rows import ArrayRows
from tests.flows.running import arrays, attributes, landmark_indices, make_config, run_embed

pytestmark = pytest.mark.usefixtures("bare_report", "many_tasks")

X = make_swiss_roll(400, random_state=0)[0].astype(np.float32)
Y = np.sin(X[:, 0] / 5) + 0.1 * X[:, 1]
NEW = make_swiss_roll(30, random_state=1)[0].astype(np.float32)
ESTIMATORS = {
    "landmark_mds": "LandmarkMDS",
    "landmark_isomap": "LandmarkIsomap",
    "locally_linear_landmarks": "LocallyLinearLandmarks",
    "nystroem": "Nystroem",
    "nystroem_kernel_pca": "NystroemKernelPCA",
    "spectral_embedding": "SpectralEmbedding",
    "spectral_clustering": "SpectralClustering",
    "landmark_diffusion_map": "LandmarkDiffusionMap",
}
OPTIONS: dict[str, dict[str, Any]] = {
    "landmark_isomap": {"n_neighbors": 12},
    "spectral_clustering": {"n_clusters": 3},
    "landmark_diffusion_map": {"t": 2.0, "alpha": 0.5},
}


@pytest.fixture
def source(tmp_path: Path) -> str:
    group = zarr.create_group(tmp_path / "x.zarr")
    group.create_array("rows", data=X, chunks=(70, 3))
    group.create_array("y", data=Y, chunks=(90,))
    group.create_array("sign", data=np.sign(Y).astype("int8"), chunks=(90,))
    return str(tmp_path / "x.zarr")


def configure(source: str, out: Path, method: dict[str, Any], **sections: Any) -> dict[str, Any]:
    config = make_config(source, out, **sections)
    config["source"]["array"] = "rows"
    config["landmarks"]["count"] = 60
    return config | {"method": method}


def test_every_method_of_the_config_has_an_estimator_here():
    assert ESTIMATORS.keys() | {name for name in METHODS.names if METHODS[name].supervised} == set(METHODS.names)


@pytest.mark.parametrize("name", sorted(ESTIMATORS))
def test_the_flow_equals_the_estimator(source: str, tmp_path: Path, name: str) -> None:
    options = OPTIONS.get(name, {}) | ({} if name == "spectral_clustering" else {"n_components": 3})
    out = tmp_path / "out.zarr"
    run_embed(configure(source, out, {"name": name, **options}))
    embedding, residual = arrays(out)
    fitted = getattr(landmark_ops, ESTIMATORS[name])(**options, selection=landmark_indices(out), random_state=0)
    expected = fitted.fit_transform(X)
    scale = np.abs(expected).max(axis=0)
    np.testing.assert_allclose(embedding / scale, expected / scale, atol=2e-3)
    assert np.isfinite(embedding).all()
    np.testing.assert_allclose(open_map(str(out))(NEW) / scale, fitted.transform(NEW) / scale, atol=2e-3)
    undefined = name in (
        "spectral_embedding",
        "spectral_clustering",
        "landmark_diffusion_map",
        "locally_linear_landmarks",
    )
    assert np.isnan(residual).all() == undefined
    recorded = attributes(out)
    assert recorded["status"] == "complete"
    assert recorded["bad_rows"] == 0
    assert not (tmp_path / "out.scratch").exists()


def test_clusters_are_labels(source: str, tmp_path: Path) -> None:
    moons, moon = make_moons(500, noise=0.05, random_state=0)
    zarr.create_group(tmp_path / "moons.zarr").create_array("rows", data=moons.astype("f4"), chunks=(90, 2))
    method = {"name": "spectral_clustering", "n_clusters": 2, "gamma": 20.0}
    run_embed(configure(str(tmp_path / "moons.zarr"), tmp_path / "out.zarr", method))
    labels: NDArray[np.int32] = zarr.open_group(tmp_path / "out.zarr", mode="r")["labels"][...]  # type: ignore[assignment,index]
    assert labels.dtype == np.int32
    assert len(set(zip(labels.tolist(), moon.tolist(), strict=True))) == 2
    sizes = attributes(tmp_path / "out.zarr")["quality"]["cluster_sizes"]
    assert sizes == np.bincount(labels).tolist()
    fitted = open_map(str(tmp_path / "out.zarr"))
    np.testing.assert_array_equal(fitted.outputs(fitted.place(moons.astype("f4")))["labels"], labels)


METHODS_TOGETHER = [
    {"name": "landmark_mds", "n_components": 2},
    {"name": "nystroem_kernel_pca", "n_components": 4},
    {"name": "spectral_clustering", "n_clusters": 3},
    {"name": "spectral_clustering", "n_clusters": 4},
    {"name": "landmark_isomap", "n_components": 2, "n_neighbors": 12},
]
NAMES = ["landmark_mds", "nystroem_kernel_pca", "spectral_clustering", "spectral_clustering-2", "landmark_isomap"]


def together(source: str, out: Path, methods: list[dict[str, Any]]) -> dict[str, Any]:
    config = configure(source, out, {})
    del config["method"]
    return config | {"methods": methods}


def test_several_methods_in_one_run(source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One selection, shared passes, one reading of the rows for all; each output as if it had been made alone."""
    stages: list[str] = []
    opened = Progress._open
    monkeypatch.setattr(Progress, "_open", lambda self, name: (stages.append(name), opened(self, name))[1])
    result = run_embed(together(source, tmp_path / "all", METHODS_TOGETHER))
    assert list(result["methods"]) == NAMES
    assert stages.count("select") == stages.count("extend") == 1
    assert stages.count("degrees") + stages.count("moments") == 2
    for name, method in zip(NAMES, METHODS_TOGETHER, strict=True):
        assert result["methods"][name]["embedding"] == str(tmp_path / f"all/{name}.zarr")
        run_embed(configure(source, tmp_path / f"{name}.zarr", method))
        for found, expected in zip(
            arrays(tmp_path / f"all/{name}.zarr"), arrays(tmp_path / f"{name}.zarr"), strict=True
        ):
            np.testing.assert_allclose(found, expected, atol=2e-4)
    assert run_embed(together(source, tmp_path / "all", METHODS_TOGETHER))["outcome"] == "already complete"


def test_a_method_added_later_leaves_the_others_alone(source: str, tmp_path: Path) -> None:
    run_embed(together(source, tmp_path / "all", METHODS_TOGETHER[:2]))
    before = (tmp_path / "all/landmark_mds.zarr/zarr.json").stat().st_mtime_ns
    result = run_embed(together(source, tmp_path / "all", METHODS_TOGETHER[:3]))
    assert result["outcome"] == "resumed"
    assert (tmp_path / "all/landmark_mds.zarr/zarr.json").stat().st_mtime_ns == before
    assert attributes(tmp_path / "all/spectral_clustering.zarr")["status"] == "complete"
    same = [landmark_indices(tmp_path / f"all/{name}.zarr") for name in ("landmark_mds", "spectral_clustering")]
    np.testing.assert_array_equal(*same)


def interrupt(config: dict[str, Any], stage: str, count: int) -> None:
    """Run until `count` ranges of `stage` are done, then as if Ctrl-C were pressed."""
    running, done = [""], [0]

    def opened(self: Progress, name: str) -> None:
        running[0], done[0] = name, 0

    def rows_done(self: Progress, item: Any) -> None:
        done[0] += 1
        if (running[0], done[0]) == (stage, count):
            raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Progress, "_open", opened)
        patch.setattr(Progress, "rows_done", rows_done)
        with pytest.raises(KeyboardInterrupt):
            run_embed(config)


@pytest.mark.parametrize(("stage", "count"), [("geodesics", 1), ("moments", 2), ("extend", 3)])
def test_an_interrupted_run_of_several_methods_goes_on(source: str, tmp_path: Path, stage: str, count: int) -> None:
    config = together(source, tmp_path / "all", METHODS_TOGETHER)
    interrupt(config, stage, count)
    states = {name: (tmp_path / f"all/{name}.zarr").exists() for name in NAMES}
    assert all(states.values())
    run_embed(config)
    run_embed(together(source, tmp_path / "whole", METHODS_TOGETHER))
    for name in NAMES:
        for found, expected in zip(
            arrays(tmp_path / f"all/{name}.zarr"), arrays(tmp_path / f"whole/{name}.zarr"), strict=True
        ):
            np.testing.assert_array_equal(found, expected)
    assert not list((tmp_path / "all").glob("*.scratch"))


def test_rows_off_the_largest_component_are_marked(tmp_path: Path) -> None:
    apart = np.vstack([X[:300], X[:40] + 1000])
    zarr.create_group(tmp_path / "x.zarr").create_array("rows", data=apart, chunks=(70, 3))
    method = {"name": "landmark_isomap", "n_components": 2, "n_neighbors": 12}
    with pytest.raises(InputError, match=r"falls into 2 components of 300 and 40 rows: .* components: join"):
        run_embed(configure(str(tmp_path / "x.zarr"), tmp_path / "out.zarr", method))
    assert not (tmp_path / "out.zarr").exists()
    assert not (tmp_path / "out.scratch").exists()
    result = run_embed(configure(str(tmp_path / "x.zarr"), tmp_path / "out.zarr", method | {"components": "largest"}))
    assert result["bad_rows"] == 40
    embedding, _ = arrays(tmp_path / "out.zarr")
    assert np.isfinite(embedding[:300]).all()
    assert np.isnan(embedding[300:]).all()


def test_distances_computed_beforehand(tmp_path: Path) -> None:
    """Rows of distances to 60 landmarks, the first rows of all, embed as the rows themselves do."""
    distances = np.linalg.norm(X[:, None].astype(float) - X[:60], axis=2)
    zarr.create_group(tmp_path / "d.zarr").create_array("rows", data=distances, chunks=(70, 60))
    config = configure(str(tmp_path / "d.zarr"), tmp_path / "out.zarr", {"metric": "precomputed", "n_components": 3})
    config["landmarks"] = {"strategy": "given", "indices": list(range(60))}
    run_embed(config)
    expected = landmark_ops.LandmarkMDS(3, selection=np.arange(60)).fit_transform(X.astype(float))
    np.testing.assert_allclose(arrays(tmp_path / "out.zarr")[0], expected, atol=1e-4)
    quality = attributes(tmp_path / "out.zarr")["quality"]
    assert quality["stress"]["value"] < 1e-6  # three dimensions hold it all
    assert np.isnan(quality["trustworthiness"]["value"])  # distances between rows were not given


def test_kernels_computed_beforehand(tmp_path: Path) -> None:
    kernel = np.exp(-0.01 * np.linalg.norm(X[:, None].astype(float) - X[:60], axis=2) ** 2)
    zarr.create_group(tmp_path / "k.zarr").create_array("rows", data=kernel, chunks=(70, 60))
    method = {"name": "nystroem_kernel_pca", "kernel": "precomputed", "n_components": 3}
    config = configure(str(tmp_path / "k.zarr"), tmp_path / "out.zarr", method)
    config["landmarks"] = {"strategy": "given", "indices": list(range(60))}
    run_embed(config)
    expected = landmark_ops.NystroemKernelPCA(3, gamma=0.01, selection=np.arange(60)).fit_transform(X.astype(float))
    np.testing.assert_allclose(arrays(tmp_path / "out.zarr")[0], expected, atol=1e-4)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"indices": list(range(1, 61))}, r"precomputed distances: the landmarks' own block is not symmetric"),
        (
            {"indices": list(range(50))},
            r"precomputed distances: rows hold 60 values for 50 landmarks: one per landmark",
        ),
    ],
)
def test_blocks_that_are_none(tmp_path: Path, change: dict[str, Any], match: str) -> None:
    distances = np.linalg.norm(X[:, None].astype(float) - X[:60], axis=2)
    zarr.create_group(tmp_path / "d.zarr").create_array("rows", data=distances, chunks=(70, 60))
    config = configure(str(tmp_path / "d.zarr"), tmp_path / "out.zarr", {"metric": "precomputed", "n_components": 3})
    config["landmarks"] = {"strategy": "given", **change}
    with pytest.raises(InputError, match=match):
        run_embed(config)


def test_precomputed_rows_have_their_landmarks_already(tmp_path: Path) -> None:
    distances = np.linalg.norm(X[:, None].astype(float) - X[:60], axis=2)
    zarr.create_group(tmp_path / "d.zarr").create_array("rows", data=distances, chunks=(70, 60))
    config = configure(str(tmp_path / "d.zarr"), tmp_path / "out.zarr", {"metric": "precomputed", "n_components": 3})
    config["landmarks"] = {"strategy": "maxmin", "count": 60}
    with pytest.raises(
        InputError, match=r"metric precomputed: rows are distances to landmarks that are chosen already"
    ):
        run_embed(config)


@pytest.mark.parametrize("strategy", ["leverage", "bless", "rpcholesky", "greedy", "active"])
@pytest.mark.parametrize("method", ["nystroem", "landmark_mds"])
def test_every_strategy_in_the_flow(source: str, tmp_path: Path, strategy: str, method: str) -> None:
    config = configure(source, tmp_path / "out.zarr", {"name": method, "n_components": 3})
    config["landmarks"] = {"strategy": strategy, "count": 25}
    if method == "landmark_mds" and strategy != "active":
        with pytest.raises(InputError, match=rf"{strategy}.*kernel"):
            run_embed(config)
        return
    run_embed(config)
    assert len(landmark_indices(tmp_path / "out.zarr")) == 25
    if method == "nystroem":  # the bandwidth that chose them is the map's own
        kernel = resolve_kernel("rbf", probe_rows(ArrayRows(X), 0, LocalEngine()))
        assert open_map(str(tmp_path / "out.zarr")).block.gamma == kernel.gamma  # type: ignore[union-attr]


def test_a_tolerance_chooses_how_many(source: str, tmp_path: Path) -> None:
    config = configure(source, tmp_path / "out.zarr", {"name": "nystroem"})
    config["landmarks"] = {"strategy": "rpcholesky", "tolerance": 0.05}
    run_embed(config)
    m = len(landmark_indices(tmp_path / "out.zarr"))
    assert 5 < m < 200
    fitted = open_map(str(tmp_path / "out.zarr"))
    _, residual = fitted.place(X.astype(float))
    assert residual.mean() <= 0.05 + 1e-6


def test_a_tolerance_out_of_reach_says_how_far_it_got(source: str, tmp_path: Path) -> None:
    config = configure(source, tmp_path / "out.zarr", {"name": "nystroem"})
    config["landmarks"] = {"strategy": "rpcholesky", "tolerance": 1e-6, "count": 20}
    with pytest.raises(InputError, match=r"tolerance"):
        run_embed(config)


@pytest.mark.parametrize("name", sorted(ESTIMATORS))
def test_bad_rows_are_refused_or_marked(tmp_path: Path, name: str) -> None:
    bad = X.copy()
    bad[[7, 200], [0, 2]] = np.nan, np.inf
    zarr.create_group(tmp_path / "x.zarr").create_array("rows", data=bad, chunks=(70, 3))
    method = {"name": name, **OPTIONS.get(name, {})} | ({} if name == "spectral_clustering" else {"n_components": 3})
    config = configure(str(tmp_path / "x.zarr"), tmp_path / "out.zarr", method)
    with pytest.raises(InputError, match=r"2 of 400 rows .* the first is row 7"):
        run_embed(config)
    config["source"]["bad_rows"] = "mark"
    assert run_embed(config)["bad_rows"] == 2
    embedding, _ = arrays(tmp_path / "out.zarr")
    assert np.flatnonzero(np.isnan(embedding).any(axis=1)).tolist() == [7, 200]


@pytest.mark.usefixtures("processes")
def test_worker_processes_change_nothing(source: str, tmp_path: Path) -> None:
    """Asks, maps, heads and graphs travel to workers and back."""
    methods = [*METHODS_TOGETHER, {"name": "landmark_diffusion_map", "n_components": 2, "alpha": 1.0}]
    methods += [{"name": "locally_linear_landmarks", "n_components": 2, "objective": "lle"}]
    learning = [{"name": "sparse_gp", "gamma": 0.05, "noise": 0.1, "signal": 1.0}, {"name": "nystroem_ridge"}]
    config = together(source, tmp_path / "all", methods + learning) | {"target": {"array": "y"}}
    result = run_embed(config)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("flows.base.machine.IN_PROCESS_BYTES", 1 << 40)
        threads = run_embed(config | {"output": {"uri": str(tmp_path / "threads")}})
    for name in result["methods"]:
        ours, theirs = (arrays(done["methods"][name]["embedding"])[0] for done in (result, threads))
        np.testing.assert_allclose(ours, theirs, atol=1e-4, err_msg=name)


def test_geodesics_are_taken_in_parts(source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    method = {"name": "landmark_isomap", "n_components": 2, "n_neighbors": 12}
    run_embed(configure(source, tmp_path / "whole.zarr", method))
    monkeypatch.setattr("landmark_ops.passes.extension.GEODESIC_ROWS", 13)
    run_embed(configure(source, tmp_path / "parts.zarr", method))
    for found, expected in zip(arrays(tmp_path / "parts.zarr"), arrays(tmp_path / "whole.zarr"), strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-4)


def test_a_resumed_run_gives_a_kernel_no_bandwidth_of_another(source: str, tmp_path: Path) -> None:
    """Landmarks drawn uniformly say nothing of a bandwidth, whichever method was solved before the run broke off."""
    methods = [{"name": "nystroem", "n_components": 3}, {"name": "nystroem", "kernel": "laplacian", "n_components": 3}]
    run_embed(together(source, tmp_path / "whole", methods))
    interrupt(together(source, tmp_path / "all", methods[:1]), "extend", 2)
    run_embed(together(source, tmp_path / "all", methods))
    blocks = [open_map(str(tmp_path / f"{run}/nystroem-2.zarr")).block for run in ("all", "whole")]
    assert blocks[0].gamma == blocks[1].gamma  # type: ignore[union-attr]

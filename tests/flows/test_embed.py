"""The embed flow end to end: the output contract, equality with the estimators, the report, Prefect artifacts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib.image
import numpy as np
import pytest
import xarray
import zarr
from numpy.typing import NDArray

import landmark_ops
from landmark_ops import LandmarkMDS, Nystroem, NystroemKernelPCA
from tests.flows.running import (
    arrays,
    attributes,
    landmark_indices,
    make_config,
    points,
    run_embed,
    write_npy,
    write_parquet,
    write_zarr,
)

X = points()
N, D = X.shape
M = 30
NEW = points(20, seed=1)


class Done(NamedTuple):
    """A finished run."""

    config: dict[str, Any]
    result: dict[str, Any]
    uri: str
    group: Any  # zarr.Group


def estimator(config: dict[str, Any], uri: str) -> Any:
    """The estimator of the same method, fitted on the same landmarks."""
    classes = {"landmark_mds": LandmarkMDS, "nystroem": Nystroem, "nystroem_kernel_pca": NystroemKernelPCA}
    method = dict(config["method"])
    return classes[method.pop("name")](**method, selection=landmark_indices(uri)).fit(X)


@pytest.fixture(scope="module", params=["landmark_mds", "nystroem", "nystroem_kernel_pca"])
def done(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Done:
    """One run per method, each from another kind of source, in several chunks, with its whole report."""
    folder = tmp_path_factory.mktemp(request.param)
    report: dict[str, Any] = {"sample": 200}
    method: dict[str, Any] = {"name": request.param, "n_components": 3}
    source: dict[str, Any] = {}
    if request.param == "landmark_mds":
        uri = write_npy(folder / "x.npy", X)
        report["thumbnail"] = [2, 3]
    elif request.param == "nystroem":
        uri = write_zarr(folder / "x.zarr", X, (70, 6))
        source["array"] = "rows"
        method["kernel"] = "laplacian"
    else:
        uri = write_parquet(folder / "x.parquet", X)
        source["column"] = "vec"
    config = make_config(uri, folder / "out.zarr", method=method, report=report)
    config["source"] |= source
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("landmark_ops.passes.ranges.TASK_BYTES", 1 << 11)
        result = run_embed(config)
    return Done(config, result, str(folder / "out.zarr"), zarr.open_group(folder / "out.zarr", mode="r"))


def test_result(done: Done) -> None:
    assert done.result["outcome"] == "done"
    assert done.result["embedding"] == done.uri
    assert (done.result["rows"], done.result["components"], done.result["bad_rows"]) == (N, 3, 0)
    assert done.result["quality"]["stress"]["value"] >= 0


def test_arrays_are_a_zarr_v3_group_with_named_dimensions(done: Done) -> None:
    assert json.loads((Path(done.uri) / "zarr.json").read_text())["zarr_format"] == 3
    expected = {
        "embedding": ((N, 3), "float32", ("row", "component")),
        "residual": ((N,), "float32", ("row",)),
        "landmarks/indices": ((M,), "int64", ("landmark",)),
        "landmarks/points": ((M, D), "float32", ("landmark", "feature")),
        "landmarks/embedding": ((M, 3), "float64", ("landmark", "component")),
        "landmarks/eigenvalues": ((3,), "float64", ("component",)),
    }
    for name, (shape, dtype, names) in expected.items():
        array = done.group[name]
        assert (array.shape, array.dtype.name, array.metadata.dimension_names) == (shape, dtype, names), name
    assert done.group["embedding"].nchunks > 2


def test_opens_with_xarray(done: Done) -> None:
    opened = xarray.open_zarr(done.uri, consolidated=False)
    assert opened["embedding"].dims == ("row", "component")
    assert opened["residual"].dims == ("row",)
    np.testing.assert_array_equal(opened["embedding"].values, done.group["embedding"][...])
    landmarks = xarray.open_zarr(done.uri, group="landmarks", consolidated=False)
    assert landmarks["points"].dims == ("landmark", "feature")


def test_attributes(done: Done) -> None:
    known = attributes(done.uri)
    rows = landmark_ops.open_rows(**done.config["source"])
    assert known["status"] == "complete"
    assert known["version"] == landmark_ops.__version__
    assert known["method"] == done.config["method"]["name"]
    assert known["parameters"]["n_components"] == 3
    assert known["source"]["uri"] == done.config["source"]["uri"]
    assert known["source"]["fingerprint"] == rows.fingerprint()
    assert known["source"]["shape"] == [N, D]
    assert known["seed"] == 0
    assert 3 <= known["rank"] <= M
    for name in ("stress", "residual_variance", "trustworthiness", "continuity", "recall"):
        assert 0 <= known["quality"][name]["value"] <= 1
        assert 0 <= known["quality"][name]["standard_error"] < 0.2
    assert known["quality"]["sample"] == 200
    assert {"select", "extend", "quality", "report"} <= known["seconds"].keys()


def test_landmarks_are_rows_of_the_source(done: Done) -> None:
    indices = landmark_indices(done.uri)
    assert len(np.unique(indices)) == M
    np.testing.assert_array_equal(done.group["landmarks/points"][...], X[indices])


def test_embedding_equals_the_estimator(done: Done) -> None:
    embedding, _ = arrays(done.uri)
    expected = estimator(done.config, done.uri).transform(X)
    np.testing.assert_allclose(embedding, expected, atol=1e-5 * np.abs(expected).max())


def test_landmarks_reproduce_their_own_coordinates(done: Done) -> None:
    embedding, _ = arrays(done.uri)
    own = done.group["landmarks/embedding"][...]
    np.testing.assert_allclose(embedding[landmark_indices(done.uri)], own, atol=1e-5 * np.abs(own).max())


def test_residual_is_what_the_map_leaves_unexplained(done: Done) -> None:
    """Each method's formula in dense float64, from the rows alone."""
    embedding, residual = arrays(done.uri)
    fitted = estimator(done.config, done.uri).map_
    y2 = (embedding.astype(np.float64) ** 2).sum(axis=1)
    name = done.config["method"]["name"]
    if name == "landmark_mds":
        Z = X[landmark_indices(done.uri)].astype(np.float64)
        to_landmarks = ((X[:, None].astype(np.float64) - Z[None]) ** 2).sum(axis=2)
        between = ((Z[:, None] - Z[None]) ** 2).sum(axis=2)
        expected = to_landmarks.mean(axis=1) - between.mean() / 2 - y2
    elif name == "nystroem":
        expected = 1 - y2  # k(x, x) = 1
    else:
        F = Nystroem(None, selection=landmark_indices(done.uri), gamma=fitted.block.gamma).fit(X).transform(X)
        mean = F.mean(axis=0)
        expected = 1 - 2 * F @ mean + mean @ mean - y2
    np.testing.assert_allclose(residual, expected, atol=2e-5 * max(1, np.abs(y2).max()))
    assert residual.min() > -1e-4 * max(1, np.abs(y2).max())


def test_open_map_places_new_rows(done: Done) -> None:
    expected = estimator(done.config, done.uri).transform(NEW)
    placed = landmark_ops.open_map(done.uri)(NEW)
    np.testing.assert_allclose(placed, expected, atol=1e-5 * np.abs(expected).max())


def test_report_is_one_page_and_pictures(done: Done) -> None:
    page = Path(done.result["report"])
    assert page == Path(done.uri.removesuffix(".zarr") + ".report") / "index.html"
    text = page.read_text()
    measured = done.result["quality"]["trustworthiness"]["value"]
    for number in (f"{N} rows", f"{M} landmarks", "3 dimensions", f"{measured}"[:4], "trustworthiness", "kNN recall"):
        assert number in text, number
    assert attributes(done.uri)["source"]["fingerprint"] in text
    assert "http://" not in text.replace("http://www.w3.org", "")
    pictures = {"density.png", "spectrum.png", "coverage.png", "timings.png"}
    if "thumbnail" in done.config["report"]:
        pictures.add("thumbnails.png")
    assert {path.name for path in page.parent.glob("*.png")} == pictures
    for name in pictures:
        pixels: NDArray[Any] = matplotlib.image.imread(page.parent / name)
        assert pixels.ndim == 3
        assert pixels.std() > 0.01, f"{name} is blank"


def test_every_row_is_in_the_density_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, many_tasks: None) -> None:
    drawn: list[Any] = []
    monkeypatch.setattr("flows.embed.report.write_report", lambda report, write: drawn.append(report))
    run_embed(make_config(write_npy(tmp_path / "x.npy", X), tmp_path / "out.zarr", report={"sample": 100}))
    densities = drawn[0].densities
    assert [density.components for density in densities] == [(0, 1), (0, 2), (1, 2)]
    assert all(density.counts.sum() == N for density in densities)


def all_artifacts(client: Any) -> list[Any]:
    """Every artifact of the session's server, page by page: other tests leave hundreds."""
    found: list[Any] = []
    while page := client.read_artifacts(limit=100, offset=len(found)):
        found += page
    return found


def test_prefect_keeps_the_table_and_pictures_of_measures(done: Done) -> None:
    """Never those that show rows, which anybody who may look at Prefect's pages would see."""
    from prefect import get_client

    with get_client(sync_client=True) as client:
        found = all_artifacts(client)
    mine = [artifact for artifact in found if done.result["report"] in str(artifact.data)]
    assert [artifact.key for artifact in mine] == ["embedding-quality"]
    assert "trustworthiness" in str(mine[0].data)
    beside = {artifact.key for artifact in found if artifact.flow_run_id == mine[0].flow_run_id}
    assert {"embedding-quality", "embedding-density", "embedding-spectrum", "embedding-coverage"} <= beside
    assert "embedding-thumbnails" not in beside


def test_prefect_sees_the_stages_as_tasks(done: Done) -> None:
    from prefect import get_client
    from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
    from prefect.client.schemas.objects import StateType

    with get_client(sync_client=True) as client:
        found = [a for a in all_artifacts(client) if done.result["report"] in str(a.data)]
        run = found[0].flow_run_id
        assert run is not None
        tasks = client.read_task_runs(flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=[run])))
    names = {task.name.rpartition("-")[0] for task in tasks}
    expected = {"select", "solve", "commit map", "extend", "errors", "quality", "score", "report", "complete"}
    assert names == expected
    assert {task.state_type for task in tasks} == {StateType.COMPLETED}


@pytest.mark.usefixtures("bare_report", "many_tasks")
def test_alignment_puts_rows_on_their_principal_axes(tmp_path: Path) -> None:
    method = {"align": True, "metric": "cityblock"}
    run_embed(make_config(write_npy(tmp_path / "x.npy", X), tmp_path / "out.zarr", method=method))
    embedding, _ = arrays(tmp_path / "out.zarr")
    np.testing.assert_allclose(embedding.mean(axis=0), 0, atol=1e-4)
    covariance = np.cov(embedding.T, bias=True)
    np.testing.assert_allclose(covariance, np.diag(np.diag(covariance)), atol=1e-4 * covariance[0, 0])
    group: Any = zarr.open_group(tmp_path / "out.zarr", mode="r")
    np.testing.assert_allclose(group["landmarks/eigenvalues"][...], np.diag(covariance), rtol=1e-4)


@pytest.mark.usefixtures("bare_report")
@pytest.mark.parametrize("n", [2, 3])
def test_two_and_three_rows(tmp_path: Path, n: int) -> None:
    rows = np.array([[0.0, 0], [3, 4], [0, 5]])[:n]
    config = make_config(write_npy(tmp_path / "x.npy", rows), tmp_path / "out.zarr", method={"n_components": 1})
    config["landmarks"] = {}
    assert run_embed(config)["rows"] == n
    embedding, _ = arrays(tmp_path / "out.zarr")
    if n == 2:
        assert abs(embedding[1, 0] - embedding[0, 0]) == pytest.approx(5)


@pytest.mark.usefixtures("bare_report")
def test_points_of_your_own_as_landmarks(tmp_path: Path) -> None:
    np.save(tmp_path / "z.npy", NEW)
    config = make_config(write_npy(tmp_path / "x.npy", X), tmp_path / "out.zarr")
    config["landmarks"] = {"strategy": "given", "points": str(tmp_path / "z.npy")}
    run_embed(config)
    assert (landmark_indices(tmp_path / "out.zarr") == -1).all()
    expected = LandmarkMDS(3, selection=NEW).fit(X).transform(X)
    np.testing.assert_allclose(arrays(tmp_path / "out.zarr")[0], expected, atol=1e-5 * np.abs(expected).max())
    assert run_embed(config)["outcome"] == "already complete"
    np.save(tmp_path / "z.npy", NEW + 1)  # same name, other points
    with pytest.raises(landmark_ops.InputError, match=r"made with other points in .*z\.npy"):
        run_embed(config)


@pytest.mark.usefixtures("bare_report", "many_tasks")
def test_overwriting_replaces_the_whole_output(tmp_path: Path) -> None:
    """In one process, so that nothing remembered of the first output may leak into the second."""
    out = tmp_path / "out.zarr"
    run_embed(make_config(write_npy(tmp_path / "x.npy", X), out))
    config = make_config(write_npy(tmp_path / "y.npy", NEW), out, method={"n_components": 2}, report={"sample": 100})
    config["landmarks"] = {"count": 10}
    config["output"]["overwrite"] = True
    assert run_embed(config)["outcome"] == "done"
    embedding, residual = arrays(out)
    assert embedding.shape == (20, 2)
    assert residual.shape == (20,)
    np.testing.assert_allclose(embedding, landmark_ops.open_map(str(out))(NEW), atol=1e-4)


@pytest.mark.usefixtures("bare_report")
def test_nothing_listens_beyond_loopback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import psutil

    found = []

    def look(report: Any, write: Any) -> None:
        me = psutil.Process()
        for process in [me, *me.children(recursive=True)]:
            found.extend(c.laddr.ip for c in process.net_connections("inet") if c.status == psutil.CONN_LISTEN)

    monkeypatch.setattr("flows.embed.report.write_report", look)
    run_embed(make_config(write_npy(tmp_path / "x.npy", X), tmp_path / "out.zarr"))
    assert found
    assert set(found) <= {"127.0.0.1", "::1"}

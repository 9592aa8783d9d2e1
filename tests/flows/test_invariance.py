"""One answer, whatever the format, the chunks, the workers: same landmarks, same coordinates to rounding."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.flows.running import (
    arrays,
    landmark_indices,
    make_config,
    points,
    run_embed,
    write_npy,
    write_parquet,
    write_zarr,
)

pytestmark = pytest.mark.usefixtures("bare_report")

X = points()
# The most that can differ: landmarks spread by distance passes, sums over all rows, an extension by kernel blocks.
SECTIONS: dict[str, Any] = {
    "landmarks": {"strategy": "maxmin"},
    "method": {"name": "nystroem_kernel_pca"},
}


class Reference:
    """The result of one run over one chunk."""

    def __init__(self, uri: Path) -> None:
        self.indices = landmark_indices(uri)
        self.embedding, self.residual = arrays(uri)

    def check(self, uri: Path) -> None:
        np.testing.assert_array_equal(landmark_indices(uri), self.indices)
        embedding, residual = arrays(uri)
        np.testing.assert_allclose(embedding, self.embedding, atol=1e-5 * np.abs(self.embedding).max())
        np.testing.assert_allclose(residual, self.residual, atol=1e-5)


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Reference:
    folder = tmp_path_factory.mktemp("reference")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("flows.embed.report.write_report", lambda report, write: None)
        run_embed(make_config(write_npy(folder / "x.npy", X), folder / "out.zarr", **SECTIONS))
    return Reference(folder / "out.zarr")


def random_chunks(seed: int) -> tuple[int, int]:
    rng = np.random.default_rng(seed)
    return int(rng.integers(2, 250)), int(rng.integers(1, 7))


@pytest.mark.usefixtures("many_tasks")
@pytest.mark.parametrize("chunks", [(1, 6), (400, 6), *map(random_chunks, range(3))], ids=str)
def test_zarr_chunks(tmp_path: Path, reference: Reference, chunks: tuple[int, int]) -> None:
    run_embed(make_config(write_zarr(tmp_path / "x.zarr", X, chunks), tmp_path / "out.zarr", **SECTIONS))
    reference.check(tmp_path / "out.zarr")


@pytest.mark.usefixtures("many_tasks")
def test_zarr_shards_and_rows_of_several_axes(tmp_path: Path, reference: Reference) -> None:
    source = write_zarr(tmp_path / "x.zarr", X.reshape(400, 3, 2), (30, 3, 2), shards=(90, 3, 2))
    run_embed(make_config(source, tmp_path / "out.zarr", **SECTIONS))
    reference.check(tmp_path / "out.zarr")


@pytest.mark.usefixtures("many_tasks")
def test_zarr_v2(tmp_path: Path, reference: Reference) -> None:
    import zarr

    zarr.create_array(tmp_path / "x.zarr", data=X.astype(">f4"), chunks=(64, 6), zarr_format=2)
    run_embed(make_config(str(tmp_path / "x.zarr"), tmp_path / "out.zarr", **SECTIONS))
    reference.check(tmp_path / "out.zarr")


@pytest.mark.usefixtures("many_tasks")
@pytest.mark.parametrize("row_group_size", [33, 400])
def test_parquet(tmp_path: Path, reference: Reference, row_group_size: int) -> None:
    source = write_parquet(tmp_path / "x.parquet", X, row_group_size)
    run_embed(make_config(source, tmp_path / "out.zarr", source={"column": "vec"}, **SECTIONS))
    reference.check(tmp_path / "out.zarr")


@pytest.mark.usefixtures("many_tasks")
@pytest.mark.parametrize("workers", [1, 2, 4])
def test_worker_threads(tmp_path: Path, reference: Reference, workers: int) -> None:
    source = write_npy(tmp_path / "x.npy", X)
    run_embed(make_config(source, tmp_path / "out.zarr", cluster={"workers": workers}, **SECTIONS))
    reference.check(tmp_path / "out.zarr")


@pytest.mark.usefixtures("many_tasks", "processes")
@pytest.mark.parametrize("workers", [2, pytest.param(4, marks=pytest.mark.slow)])
def test_worker_processes(tmp_path: Path, reference: Reference, workers: int) -> None:
    source = write_zarr(tmp_path / "x.zarr", X, (30, 6))
    run_embed(make_config(source, tmp_path / "out.zarr", cluster={"workers": workers}, **SECTIONS))
    reference.check(tmp_path / "out.zarr")


@pytest.mark.usefixtures("many_tasks")
def test_a_running_cluster(tmp_path: Path, reference: Reference, monkeypatch: pytest.MonkeyPatch) -> None:
    """By address, with relative paths: its workers may stand in another folder."""
    from distributed import LocalCluster

    write_npy(tmp_path / "x.npy", X)
    monkeypatch.chdir(tmp_path)
    options: dict[str, Any] = {"dashboard_address": "127.0.0.1:0", "worker_dashboard_address": "127.0.0.1:0"}
    with LocalCluster(
        n_workers=2, threads_per_worker=1, processes=False, protocol="tcp://", host="127.0.0.1", **options
    ) as cluster:
        run_embed(make_config("x.npy", "out.zarr", cluster={"address": cluster.scheduler_address}, **SECTIONS))
    reference.check(tmp_path / "out.zarr")

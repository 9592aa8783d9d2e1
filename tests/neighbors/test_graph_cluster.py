"""Graph and geodesics on worker processes: the bits of threads, with a scratch folder, without one, and on S3."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from distributed import Client, LocalCluster

from landmark_ops.engine.cluster import ClusterEngine
from landmark_ops.engine.threads import LocalEngine
from landmark_ops.neighbors.geodesics import landmark_geodesics
from landmark_ops.neighbors.graph import neighbor_graph
from landmark_ops.numerics.metric import Metric
from landmark_ops.stores.sources.rows import ArrayRows
from tests.s3_server import s3_bucket, s3_server  # noqa: F401  fixtures

pytestmark = pytest.mark.s3


@pytest.fixture(scope="module")
def engine(s3_server: str) -> Iterator[ClusterEngine]:  # noqa: F811  AWS_* are set before the workers start
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as local,
        Client(local, set_as_default=False) as client,
    ):
        yield ClusterEngine(client)


@pytest.mark.parametrize("place", ["none", "local", "s3"])
def test_processes_have_the_bits_of_threads(engine, tmp_path, request, place, monkeypatch):
    monkeypatch.setattr("landmark_ops.neighbors.graph.EXACT_ROWS", 0)
    rng = np.random.default_rng(5)
    t = 4 * rng.random((6000, 2)).astype(np.float32)
    rows = ArrayRows(np.column_stack([np.sin(t), np.cos(t), t]) + 0.01 * rng.standard_normal((6000, 6), np.float32))
    landmarks = np.sort(rng.choice(6000, 40, replace=False))
    scratch = {"none": None, "local": str(tmp_path / "scratch")}.get(place)
    if place == "s3":
        scratch = request.getfixturevalue("s3_bucket") + "/scratch"

    def measure(engine, scratch):
        graph = neighbor_graph(rows, None, 8, Metric("euclidean"), engine, scratch_uri=scratch)
        return graph, landmark_geodesics(graph, landmarks, engine, policy="join", scratch_uri=scratch, source=rows)

    graph, found = measure(engine, scratch)
    here, expected = measure(LocalEngine(2), None)
    np.testing.assert_array_equal(graph.matrix.indices, here.matrix.indices)
    np.testing.assert_array_equal(graph.matrix.data, here.matrix.data)
    assert graph.note == here.note
    np.testing.assert_array_equal(found.read(0, 6000), expected.read(0, 6000))
    np.testing.assert_array_equal(found.landmark, expected.landmark)

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from landmark_ops.engine.cluster import ClusterEngine
from landmark_ops.engine.protocol import Engine
from landmark_ops.engine.threads import LocalEngine
from landmark_ops.stores.sources.rows import ArrayRows


class ChunkedRows(ArrayRows):
    """An array that claims to be stored in chunks of any length."""

    def __init__(self, array: NDArray[Any], chunk_rows: int) -> None:
        super().__init__(array)
        self.chunk_rows = chunk_rows


@pytest.fixture
def chunked() -> Callable[[NDArray[Any], int], ChunkedRows]:
    return ChunkedRows


@pytest.fixture(scope="module")
def cluster() -> Iterator[ClusterEngine]:
    from distributed import Client, LocalCluster

    with (
        LocalCluster(processes=False, n_workers=2, threads_per_worker=1, dashboard_address="127.0.0.1:0") as local,
        Client(local) as client,
    ):
        yield ClusterEngine(client)


@pytest.fixture
def engine() -> Engine:
    return LocalEngine(2)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)

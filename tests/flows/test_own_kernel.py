"""A kernel and a metric registered from outside, in one file each, work in every command and in estimators."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from flows.embed.plan import make_plan
from landmark_ops import InputError, LandmarkMDS, Nystroem, open_map, open_rows, select_landmarks
from landmark_ops.configs.embed import CompareConfig, EmbedConfig
from landmark_ops.numerics.kernel import KERNELS, Kernel, resolve_kernel
from landmark_ops.numerics.metric import METRICS, Metric
from tests.flows.running import arrays, make_config, points, run_embed, write_npy

X = points()
KERNEL: dict[str, Any] = {"name": "nystroem", "n_components": 3, "kernel": "cauchy", "gamma": 0.25}
METRIC: dict[str, Any] = {"name": "landmark_mds", "n_components": 3, "metric": "flake", "metric_params": {"q": 0.4}}
BOTH = pytest.mark.parametrize("method", [KERNEL, METRIC], ids=["kernel", "metric"])
pytestmark = pytest.mark.usefixtures("toys")


@pytest.fixture
def toys() -> Iterator[None]:
    from tests.toys.toy_kernel import RATIONAL
    from tests.toys.toy_metric import SNOWFLAKE

    if "rational" not in KERNELS:
        KERNELS.register(RATIONAL)
        METRICS.register(SNOWFLAKE)
    yield
    KERNELS.unregister("rational")
    METRICS.unregister("snowflake")


def configure(tmp_path: Path, method: dict[str, Any]) -> dict[str, Any]:
    return make_config(write_npy(tmp_path / "x.npy", X), tmp_path / "out.zarr") | {"method": method}


def rational(A: np.ndarray, B: np.ndarray) -> np.ndarray:
    return 1 / (1 + 0.25 * cdist(A, B, "sqeuclidean"))


def nystroem(Z: np.ndarray) -> np.ndarray:
    """Products of the three features of largest eigenvalue, in dense NumPy."""
    values, vectors = np.linalg.eigh(rational(Z, Z))
    F = rational(X, Z) @ (vectors[:, -3:] / np.sqrt(values[-3:]))
    return F @ F.T


def scaled(Z: np.ndarray) -> np.ndarray:
    """Products of coordinates of landmark MDS, in dense NumPy."""
    D = cdist(Z, Z, "cityblock") ** 0.8
    J = np.eye(len(Z)) - 1 / len(Z)
    values, vectors = np.linalg.eigh(-0.5 * J @ D @ J)
    Y = -0.5 * (cdist(X, Z, "cityblock") ** 0.8 - D.mean(axis=0)) @ (vectors[:, -3:] / np.sqrt(values[-3:]))
    return Y @ Y.T


@BOTH
def test_it_is_embedded_as_dense_numpy_has_it_and_its_map_is_read_back(method: dict[str, Any], tmp_path: Path) -> None:
    run_embed(configure(tmp_path, method))
    embedding, _ = arrays(tmp_path / "out.zarr")
    stored = open_map(tmp_path / "out.zarr")
    expected = (nystroem if method is KERNEL else scaled)(np.asarray(stored.landmarks, np.float64))
    np.testing.assert_allclose(embedding @ embedding.T, expected, atol=2e-4 * np.abs(expected).max())
    np.testing.assert_allclose(stored(X[:50]), embedding[:50], rtol=1e-5, atol=1e-6)


@BOTH
def test_it_is_planned_and_compared(method: dict[str, Any], tmp_path: Path) -> None:
    from flows.compare.flow import compare

    config = configure(tmp_path, method)
    assert make_plan(EmbedConfig.model_validate(config), open_rows(tmp_path / "x.npy")).n_landmarks > 0
    tried = {"compare": {"counts": [20], "repeats": 1, "strategies": ["uniform", "maxmin"]}}
    lines = compare(CompareConfig.model_validate(config | tried))["lines"]
    assert any(line.startswith("maxmin ") for line in lines)


@pytest.mark.parametrize(
    ("estimator", "name"),
    [(Nystroem(3, kernel="cauchy", gamma=0.25), "kernel rational"), (LandmarkMDS(3, metric="flake"), "metric snow")],
    ids=["kernel", "metric"],
)
def test_estimators_take_it_and_say_why_a_row_is_outside(estimator: Any, name: str) -> None:
    for selection in ("uniform", "maxmin"):
        estimator.set_params(n_landmarks=30, selection=selection, random_state=0)
        assert np.isfinite(estimator.fit_transform(X)).all()
    far = np.where(np.arange(len(X))[:, None] == 7, 1e4, X)
    with pytest.raises(InputError, match=rf"1 of {len(X):,} rows are too far out for {name}.*row 7: bring them in"):
        estimator.transform(far)


def test_landmarks_are_chosen_by_it() -> None:
    spread = select_landmarks(X, 10, "maxmin", random_state=0)
    np.testing.assert_array_equal(
        select_landmarks(X, 10, "maxmin", kernel="cauchy", random_state=0).indices, spread.indices
    )
    assert "rational, gamma" in select_landmarks(X, 10, "rpcholesky", kernel="cauchy", random_state=0).note


def test_unknown_names_and_parameters_are_answered_with_its_own() -> None:
    with pytest.raises(InputError, match="kernel 'rationl' is unknown: did you mean rational"):
        resolve_kernel("rationl", X)
    with pytest.raises(InputError, match="q=2 for snowflake must be above 0"):
        LandmarkMDS(2, n_landmarks=20, metric="snowflake", metric_params={"q": 2}).fit(X)
    with pytest.raises(InputError, match=r"'p' is no parameter of snowflake; it takes \['q'\]"):
        LandmarkMDS(2, n_landmarks=20, metric="snowflake", metric_params={"p": 2}).fit(X)


def test_pickles_hold_names_and_numbers() -> None:
    """Workers find the entry by its name."""
    for block in (Kernel("rational", 0.5), Metric("snowflake", {"q": 0.5})):
        sent = pickle.dumps(block)
        assert len(sent) < 300
        assert b"toy" not in sent
        assert pickle.loads(sent).family is block.family

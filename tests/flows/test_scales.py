"""Every metric, kernel and method through the flow, at scales from one end of float32 to the other.

Rows are scaled by powers of two, which changes no digit: coordinates must come out as those of dense float64 algebra
on the rows as they were, scaled with the rows where the method does so.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from numpy.typing import NDArray
from scipy.spatial.distance import cdist
from sklearn.metrics.pairwise import chi2_kernel, cosine_similarity

import landmark_ops
from landmark_ops import InputError, RunError
from landmark_ops.numerics.eigen import fix_signs
from tests.flows.running import arrays, attributes, landmark_indices, make_config, run_embed, write_npy

F64 = NDArray[np.float64]
X = (np.random.default_rng(4).gamma(2.0, 1.0, (240, 4)) + 0.1).astype(np.float32)
M = 30
SCALES = [-120, 0, 120]  # powers of two: 1e-36 to 1e36
pytestmark = pytest.mark.usefixtures("bare_report")


def mds(squares: Callable[[F64, F64], F64], k: int = 2) -> Callable[[F64, F64], F64]:
    """Landmark MDS as its definition: squared distances, double centring, the formula of de Silva & Tenenbaum."""

    def place(rows: F64, Z: F64) -> F64:
        D, d = squares(Z, Z), squares(rows, Z)
        J = np.eye(len(Z)) - 1 / len(Z)
        values, vectors = np.linalg.eigh(-0.5 * J @ D @ J)
        values, vectors = values[::-1][:k], fix_signs(vectors[:, ::-1])[:, :k]
        return -0.5 * (d - D.mean(axis=0)) @ vectors / np.sqrt(values)

    return place


def nystroem(kernel: Callable[[F64, F64], F64], k: int = 2) -> Callable[[F64, F64], F64]:
    """Nystrom features as their definition."""

    def place(rows: F64, Z: F64) -> F64:
        values, vectors = np.linalg.eigh(kernel(Z, Z))
        values, vectors = values[::-1][:k], fix_signs(vectors[:, ::-1])[:, :k]
        return kernel(rows, Z) @ vectors / np.sqrt(values)

    return place


def median(Z: F64, metric: str = "euclidean") -> float:
    apart = cdist(Z, Z, metric)
    return float(np.median(apart[np.triu_indices(len(Z), 1)]))


def squared(metric: str, **parameters: Any) -> Callable[[F64, F64], F64]:
    return lambda A, B: cdist(A, B, metric, **parameters) ** 2


def matern(A: F64, B: F64, gamma: float) -> F64:
    s = np.sqrt(3) * gamma * cdist(A, B)
    return np.asarray((1 + s) * np.exp(-s))


def chi2_distance(A: F64, B: F64) -> F64:
    return np.asarray(-np.log(chi2_kernel(A, B, gamma=1e-3)) / 1e-3)


def scaled_features(name: str) -> Callable[[F64, F64], F64]:
    """Nystrom features with the bandwidth of the median rule, taken from the landmarks."""

    def place(rows: F64, Z: F64) -> F64:
        apart = {"laplacian": "cityblock"}.get(name, "euclidean")
        s = median(Z, apart)
        if name == "chi2":
            own = chi2_distance(Z, Z)
            s = float(np.median(own[np.triu_indices(len(Z), 1)]))
        kernels: dict[str, Callable[[F64, F64], F64]] = {
            "rbf": lambda A, B: np.exp(-(cdist(A, B) ** 2) / (2 * s**2)),
            "laplacian": lambda A, B: np.exp(-cdist(A, B, "cityblock") / s),
            "matern": lambda A, B: matern(A, B, 1 / s),
            "chi2": lambda A, B: np.exp(-chi2_distance(A, B) / s),
        }
        return nystroem(kernels[name])(rows, Z)

    return place


#: name -> config, the dense answer at scale 1, and the power with which coordinates scale with the rows
DENSE: dict[str, tuple[dict[str, Any], Callable[[F64, F64], F64], int]] = {
    **{metric: ({"metric": metric}, mds(squared(metric)), 1) for metric in ("euclidean", "cityblock", "chebyshev")},
    "sqeuclidean": ({"metric": "sqeuclidean"}, mds(squared("euclidean")), 1),
    "minkowski": ({"metric": "minkowski", "metric_params": {"p": 5}}, mds(squared("minkowski", p=5)), 1),
    "nan_euclidean": ({"metric": "nan_euclidean"}, mds(squared("euclidean")), 1),
    **{metric: ({"metric": metric}, mds(squared(metric)), 0) for metric in ("canberra", "braycurtis", "jensenshannon")},
    "cosine": ({"metric": "cosine"}, mds(lambda A, B: 2 * cdist(A, B, "cosine")), 0),
    "correlation": ({"metric": "correlation"}, mds(lambda A, B: 2 * cdist(A, B, "correlation")), 0),
    "seuclidean": (
        {"metric": "seuclidean"},
        lambda rows, Z: mds(squared("seuclidean", V=Z.var(axis=0, ddof=1)))(rows, Z),
        0,
    ),
    **{
        name: ({"name": "nystroem", "kernel": name}, scaled_features(name), 0)
        for name in ("rbf", "laplacian", "matern")
    },
    "linear": ({"name": "nystroem", "kernel": "linear"}, nystroem(lambda A, B: A @ B.T), 1),
    "cosine kernel": ({"name": "nystroem", "kernel": "cosine"}, nystroem(cosine_similarity), 0),
}


def embed(tmp_path: Path, rows: NDArray[Any], methods: list[dict[str, Any]], **landmarks: Any) -> list[Path]:
    """Run several methods over the same rows; the addresses of their outputs, in order."""
    config = make_config(write_npy(tmp_path / "x.npy", rows), tmp_path / "out", report={"sample": 100})
    config["landmarks"] = {"count": M, **landmarks}
    del config["method"]
    config["methods"] = [{"n_components": 2, **method} for method in methods]
    return [Path(one["embedding"]) for one in run_embed(config)["methods"].values()]


@pytest.mark.parametrize("power", SCALES)
def test_the_flow_gives_dense_float64_algebra_at_every_scale(tmp_path: Path, power: int) -> None:
    rows = np.ldexp(X, power)
    outs = embed(tmp_path, rows, [config for config, _, _ in DENSE.values()])
    for out, (name, (_, dense, degree)) in zip(outs, DENSE.items(), strict=True):
        right = dense(X.astype(np.float64), X[landmark_indices(out)].astype(np.float64))
        found = np.ldexp(arrays(out)[0].astype(np.float64), -degree * power)
        np.testing.assert_allclose(found, right, atol=1e-5 * np.abs(right).max(), err_msg=f"{name} at 2^{power}")
        said = [one for one in attributes(out)["warnings"] if "residuals are in units of coordinates squared" in one]
        assert bool(said) == (degree == 1 and power != 0), name
        assert np.isnan(arrays(out)[1]).all() == bool(said), name


def test_methods_with_passes_and_graphs_give_the_same_at_every_scale(tmp_path: Path) -> None:
    power = -120
    methods: list[dict[str, Any]] = [
        {"name": "nystroem_kernel_pca"},
        {"name": "spectral_embedding"},
        {"name": "spectral_clustering", "n_clusters": 3},
        {"name": "landmark_diffusion_map", "alpha": 1.0},
        {"name": "locally_linear_landmarks"},
        {"name": "landmark_isomap", "components": "join"},
        {"name": "landmark_mds", "align": True},
    ]
    (tmp_path / "one").mkdir()
    (tmp_path / "other").mkdir()
    ones = embed(tmp_path / "one", X.astype(np.float64), methods)  # as so small rows are computed
    others = embed(tmp_path / "other", np.ldexp(X, power), methods)
    for method, one, other in zip(methods, ones, others, strict=True):
        degree = 1 if method["name"] in ("landmark_isomap", "landmark_mds") else 0
        right, found = arrays(one)[0], np.ldexp(arrays(other)[0].astype(np.float64), -degree * power)
        np.testing.assert_allclose(found, right, atol=1e-4 * np.abs(right).max(), err_msg=str(method))


@pytest.mark.parametrize("strategy", ["maxmin", "kmeans", "rpcholesky"])
def test_landmarks_do_not_depend_on_the_scale(tmp_path: Path, strategy: str) -> None:
    chosen = []
    for power in (0, -120):
        (tmp_path / str(power)).mkdir()
        (out,) = embed(tmp_path / str(power), np.ldexp(X, power), [{"name": "nystroem"}], strategy=strategy)
        points: Any = zarr.open_group(out, mode="r")["landmarks/points"][...]  # type: ignore[index]
        chosen.append(np.ldexp(points.astype(np.float64), -power))
    for other in chosen[1:]:
        np.testing.assert_allclose(other, chosen[0], rtol=1e-6)


BITS = (np.random.default_rng(9).random((240, 14)) < np.linspace(0.2, 0.8, 14)).astype(np.uint8)
BITS[:, 0] = 1


def test_metrics_of_booleans_and_categories_through_the_flow(tmp_path: Path) -> None:
    boolean = ("dice", "jaccard", "rogerstanimoto", "russellrao", "sokalsneath", "yule")
    outs = embed(tmp_path, BITS, [{"metric": metric} for metric in (*boolean, "hamming")])
    for out, metric in zip(outs, (*boolean, "hamming"), strict=True):
        rows = BITS.astype(bool) if metric in boolean else BITS.astype(np.float64)
        right = mds(squared(metric))(rows, rows[landmark_indices(out)])
        np.testing.assert_allclose(arrays(out)[0], right, atol=1e-5 * np.abs(right).max(), err_msg=metric)


def spoiled(rows: NDArray[Any], value: float) -> NDArray[np.float64]:
    out = rows.astype(np.float64)
    out[[100, 101], 1] = value
    return out


@pytest.mark.parametrize(
    ("method", "rows"),
    [
        ({"metric": "jaccard"}, spoiled(BITS, 0.5)),
        ({"metric": "jensenshannon"}, spoiled(X, -1)),
        ({"metric": "haversine"}, spoiled(X[:, :2] / 20, 200)),
        ({"metric": "braycurtis"}, np.where(np.isin(np.arange(240), [100, 101])[:, None], 0, X)),
        ({"metric": "cosine"}, np.where(np.isin(np.arange(240), [100, 101])[:, None], 0, X)),
        ({"metric": "correlation"}, np.where(np.isin(np.arange(240), [100, 101])[:, None], 7, X)),
        ({"name": "nystroem", "kernel": "chi2"}, spoiled(X, -1)),
        ({"name": "nystroem", "kernel": "polynomial"}, spoiled(X, 1e200)),
        ({"name": "spectral_embedding", "kernel": "linear"}, spoiled(X, -1e3)),
        ({"name": "landmark_diffusion_map", "kernel": "cosine"}, spoiled(X, -1e3)),
        ({"name": "nystroem_kernel_pca", "kernel": "polynomial"}, spoiled(X, 1e200)),
        ({"metric": "mahalanobis", "metric_params": {"VI": [[1, 0], [0, 1]]}}, X),
        ({"metric": "seuclidean", "metric_params": {"V": [1, 1, 0, 1]}}, X),
    ],
    ids=lambda value: value.get("metric", value.get("kernel")) if isinstance(value, dict) else "",
)
def test_flow_and_estimator_refuse_alike(tmp_path: Path, method: dict[str, Any], rows: NDArray[Any]) -> None:
    """The same rows, the same count, the same words; landmarks are others than the rows at fault."""
    names = {"landmark_mds": "LandmarkMDS", "nystroem": "Nystroem", "nystroem_kernel_pca": "NystroemKernelPCA"}
    names |= {"spectral_embedding": "SpectralEmbedding", "landmark_diffusion_map": "LandmarkDiffusionMap"}
    indices = list(range(30))
    with pytest.raises(InputError) as by_flow:
        embed(tmp_path, rows, [method], strategy="given", indices=indices, count=None)
    options = {key: value for key, value in method.items() if key != "name"}
    kind = getattr(landmark_ops, names[method.get("name", "landmark_mds")])
    estimator = kind(2, selection=np.array(indices), **options)
    with pytest.raises(InputError) as by_estimator:
        estimator.fit(rows).transform(rows)

    def core(error: pytest.ExceptionInfo[InputError]) -> str:
        """Without the source's address, and without the remedy that only a config has."""
        said = str(error.value).split(": ", 1)[1]
        return said.removesuffix(", or set source.bad_rows: mark to give such rows NaN coordinates")

    assert core(by_flow) == core(by_estimator)
    assert "metric_params" in method or "the first is row 100" in core(by_flow)


@pytest.mark.parametrize("strategy", ["uniform", "maxmin", "rpcholesky"])
@pytest.mark.parametrize("seed", [0, 1])
def test_rows_outside_a_domain_are_no_landmarks_where_bad_rows_are_marked(
    tmp_path: Path, strategy: str, seed: int
) -> None:
    rows, bad = X.astype(np.float64), np.arange(0, 240, 3)
    rows[bad, 2] *= -1
    config = make_config(write_npy(tmp_path / "x.npy", rows), tmp_path / "out.zarr", source={"bad_rows": "mark"})
    config["landmarks"] = {"count": M, "strategy": strategy, "seed": seed}
    config["method"] = {"metric": "jensenshannon", "n_components": 2}
    if strategy != "maxmin":
        config["method"] = {"name": "nystroem", "kernel": "chi2", "n_components": 2}
    run_embed(config)
    assert np.flatnonzero(np.isnan(arrays(tmp_path / "out.zarr")[0]).any(axis=1)).tolist() == bad.tolist()
    assert not np.isin(landmark_indices(tmp_path / "out.zarr"), bad).any()


@pytest.mark.parametrize(
    ("scale", "method", "message"),
    [
        (1e150, {"name": "landmark_mds"}, r"coordinates of the landmarks reach .*e\+15.; float32, .*multiply the rows"),
        (1e-150, {"name": "landmark_mds"}, r"coordinates of the landmarks reach .*e-15.; float32, .*multiply the rows"),
        (1e-170, {"name": "nystroem"}, r"kernel rbf: the median distance .* beyond float64: multiply the rows"),
        (1e160, {"name": "nystroem", "kernel": "polynomial"}, r"polynomial.* overflows float64"),
        (1e20, {"name": "landmark_diffusion_map", "kernel": "linear"}, "coordinates of the landmarks reach .*e-4"),
    ],
)
def test_what_float32_cannot_store_is_refused(
    tmp_path: Path, scale: float, method: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        embed(tmp_path, X.astype(np.float64) * scale, [method])


@pytest.mark.parametrize("scale", [1e-150, 1e150])
def test_float64_rows_far_from_one_are_placed_where_coordinates_do_not_scale(tmp_path: Path, scale: float) -> None:
    wide = X.astype(np.float64)
    names = ("rbf", "matern", "cosine", "canberra", "seuclidean")
    outs = embed(tmp_path, wide * scale, [DENSE[name][0] for name in names])
    for out, name in zip(outs, names, strict=True):
        right = DENSE[name][1](wide, wide[landmark_indices(out)])
        np.testing.assert_allclose(arrays(out)[0], right, atol=1e-5 * np.abs(right).max(), err_msg=name)


def test_rows_far_from_all_landmarks_do_not_spoil_the_others(tmp_path: Path) -> None:
    rows = X.copy()
    rows[[17, 200]] *= np.float32(1e25)
    config = make_config(write_npy(tmp_path / "x.npy", rows), tmp_path / "out.zarr", landmarks={"strategy": "given"})
    config["landmarks"] = {"strategy": "given", "indices": [*range(16), *range(20, 40)]}
    run_embed(config)
    right = (
        landmark_ops.LandmarkMDS(3, selection=np.r_[0:16, 20:40]).fit(rows.astype(float)).transform(rows.astype(float))
    )
    near = np.setdiff1d(np.arange(len(X)), [17, 200])
    found, residual = arrays(tmp_path / "out.zarr")
    np.testing.assert_allclose(found[near], right[near], atol=1e-5 * np.abs(right[near]).max())
    np.testing.assert_allclose(found[[17, 200]], right[[17, 200]], rtol=1e-5)
    assert np.flatnonzero(np.isnan(residual)).tolist() == [17, 200]  # 1e50 is beyond float32


def test_an_embedding_whose_rows_collapsed_is_never_complete(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever goes wrong between the landmarks and the rows."""
    from landmark_ops.passes import extension

    placed = extension.place_all
    monkeypatch.setattr(
        extension,
        "place_all",
        lambda maps, rows: [one._replace(embedding=one.embedding * 0 + 1) for one in placed(maps, rows)],
    )
    config = make_config(write_npy(tmp_path / "x.npy", X), tmp_path / "out.zarr")
    with pytest.raises(RunError, match=r"all rows lie within 0 of each other in component 0, where the landmarks"):
        run_embed(config)
    assert not (tmp_path / "out.zarr").exists() or attributes(tmp_path / "out.zarr")["status"] != "complete"


@pytest.mark.parametrize(
    ("rows", "method"),
    [
        (X.astype(np.float64) + 1e10, {"name": "nystroem", "kernel": "linear", "n_components": 1}),
        (X.astype(np.float64), {"name": "nystroem", "gamma": 1e-10, "n_components": 1}),
    ],
)
def test_rows_that_float32_does_not_tell_apart_are_never_complete(
    tmp_path: Path, rows: NDArray[np.float64], method: dict[str, Any]
) -> None:
    with pytest.raises(RunError, match=r"all rows come out at one point, .* beyond the digits of float32"):
        embed(tmp_path, rows, [method])


def test_centres_and_earlier_landmarks_need_not_be_near_any_row(tmp_path: Path) -> None:
    """The check for collapsed rows compares them with landmarks that are rows."""
    rows = np.random.default_rng(2).normal(size=(300, 50))
    method = {"name": "nystroem", "kernel": "rbf", "gamma": 1.0, "n_components": 2}
    [out] = embed(tmp_path, rows, [method], strategy="kmeans")
    assert attributes(out)["status"] == "complete"
    centres = zarr.open_group(str(out), mode="r")["landmarks/points"][...]  # type: ignore[index]
    right = nystroem(lambda A, B: np.exp(-cdist(A, B, "sqeuclidean")))(rows, np.asarray(centres, np.float64))
    assert np.abs(right).max() < 1e-3  # while centres lie at 1
    np.testing.assert_allclose(np.abs(arrays(out)[0]), np.abs(right), rtol=1e-3, atol=1e-10)


def test_a_constant_target_is_predicted_as_such(tmp_path: Path) -> None:
    config = make_config(write_npy(tmp_path / "x.npy", X), tmp_path / "out.zarr")
    config["method"] = {"name": "nystroem_ridge"}
    config["target"] = {"uri": write_npy(tmp_path / "y.npy", np.full(len(X), 3.0))}
    run_embed(config)
    assert (zarr.open_group(str(tmp_path / "out.zarr"), mode="r")["prediction"][...] == 3).all()  # type: ignore[index]

"""What estimators refuse, or answer right, where other software was reported to be wrong without a word."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.spatial.distance import cdist
from sklearn.decomposition import PCA
from sklearn.linear_model import Ridge

from landmark_ops import (
    InputError,
    LandmarkDiffusionMap,
    LandmarkIsomap,
    LandmarkMDS,
    Nystroem,
    NystroemKernelPCA,
    NystroemRidge,
    SparseGPRegressor,
    SpectralClustering,
    SpectralEmbedding,
    select_landmarks,
)

F64 = NDArray[np.float64]
X: F64 = np.random.default_rng(0).normal(size=(120, 3)) * [3, 2, 1]


def signed(found: Any, right: F64) -> float:
    """The largest difference, of the largest value, with components flipped alike."""
    found = np.asarray(found, np.float64)
    return float(np.abs(found * np.sign((found * right).sum(axis=0)) - right).max() / np.abs(right).max())


@pytest.mark.parametrize(
    ("offset", "dtype"), [(0, "f4"), (30, "f4"), (100, "f4"), (1e3, "f4"), (1e4, "f4"), (1e3, "f8"), (1e5, "f8")]
)
def test_kernel_pca_of_rows_far_from_the_origin_is_pca(offset: float, dtype: str) -> None:
    """Centring takes the offset off the kernel again, with as many digits as it has."""
    rows = (X + offset).astype(dtype)
    right = PCA(2).fit_transform(rows.astype(np.float64))
    found = NystroemKernelPCA(2, n_landmarks=60, kernel="linear", random_state=0).fit_transform(rows)
    assert signed(found, right) < 1e-5


@pytest.mark.parametrize("kernel", ["linear", "polynomial", "cosine"])
@pytest.mark.parametrize("offset", [1e7, 1e8])
def test_kernel_pca_refuses_what_float64_does_not_resolve(kernel: str, offset: float) -> None:
    model = NystroemKernelPCA(2, n_landmarks=60, kernel=kernel, random_state=0)
    with pytest.raises(InputError, match=rf"kernel {kernel}.*less than float64 resolves.*: subtract the mean"):
        model.fit(X + offset)


def test_kernel_pca_names_constant_rows_as_what_they_are() -> None:
    with pytest.raises(InputError, match="identical: the data is constant"):
        NystroemKernelPCA(1, n_landmarks=10, kernel="linear").fit(np.ones((50, 3)))


@pytest.mark.parametrize("gamma", [1e-3, 1e-6, 1e-9])
@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_kernel_pca_of_a_nearly_constant_kernel(gamma: float, dtype: str) -> None:
    rows = X.astype(dtype)
    wide = rows.astype(np.longdouble)
    K = np.expm1(-np.longdouble(gamma) * ((wide[:, None] - wide[None]) ** 2).sum(axis=2))
    J = np.eye(len(X)) - 1 / len(X)
    values, vectors = np.linalg.eigh(np.asarray(J @ K @ J, np.float64))
    right = vectors[:, ::-1][:, :2] * np.sqrt(values[::-1][:2])
    found = NystroemKernelPCA(2, n_landmarks=len(X), gamma=gamma, random_state=0).fit_transform(rows)
    assert signed(found, right) < 1e-5


@pytest.mark.parametrize("offset", [0, 1e4])
def test_ridge_of_rows_far_from_the_origin(offset: float) -> None:
    y = X @ [1.0, 2.0, 3.0]
    found = (
        NystroemRidge(alpha=1.0, kernel="linear", n_landmarks=60, random_state=0).fit(X + offset, y).predict(X + offset)
    )
    np.testing.assert_allclose(found, Ridge(1.0).fit(X, y).predict(X), atol=1e-5)


def test_ridge_refuses_what_float64_does_not_resolve() -> None:
    with pytest.raises(InputError, match=r"kernel linear: .* less than float64 resolves"):
        NystroemRidge(alpha=1e-6, kernel="linear", n_landmarks=60, random_state=0).fit(X + 1e7, X[:, 0])


@pytest.mark.parametrize("alpha", [1e-300, 1e-30, 1e-20])
def test_hardly_any_regularisation_is_the_least_squares_solution(alpha: float) -> None:
    y = np.sin(X[:, 0]) + 3
    found = NystroemRidge(alpha=alpha, n_landmarks=120, gamma=0.3, random_state=0).fit(X, y).predict(X)
    np.testing.assert_allclose(found, y, atol=1e-4)


def test_a_ridge_of_any_weight_predicts_the_mean() -> None:
    found = NystroemRidge(alpha=1e300, n_landmarks=60, gamma=0.3, random_state=0).fit(X, X[:, 0]).predict(X)
    np.testing.assert_allclose(found, X[:, 0].mean())


CALLABLES: list[tuple[Any, str]] = [
    (lambda u, v: -float(np.linalg.norm(u - v)), "distances are negative"),
    (lambda A, B: -cdist(A, B), "distances are negative"),
    (lambda u, v: float(np.maximum(u - v, 0).sum()), "must be symmetric"),
    (lambda u, v: float(np.linalg.norm(u - v)) + 1, "between a row and itself, a metric gives 0"),
    (lambda u, v: complex(np.linalg.norm(u - v), 1), "gave complex128, needs real numbers"),
    (lambda A, B: cdist(A, B) + 1j, "gave complex128, needs real numbers"),
    (lambda u, v: None, "gave object, needs real numbers"),
    (lambda u, v: "near", "needs real numbers"),
    (lambda u, v: np.abs(u - v), r"got shape \(3,\) for two rows, needs a single number"),
    (lambda A, B: cdist(A, B) / max(float(cdist(A, B).max()), 1e-9), "depend on the other rows of the block"),
]


@pytest.mark.parametrize(("fn", "message"), CALLABLES)
def test_functions_that_are_no_metric_are_refused(fn: Any, message: str) -> None:
    with pytest.raises(InputError, match=f"metric callable: .*{message}"):
        LandmarkMDS(2, n_landmarks=30, metric=fn, random_state=0).fit_transform(X)


@pytest.mark.parametrize(("fn", "message"), CALLABLES)
def test_graphs_of_functions_that_are_no_metric_are_refused(fn: Any, message: str) -> None:
    """Shortest paths over negative edges never end: the process was lost."""
    with pytest.raises(InputError, match=f"metric callable: .*{message}"):
        LandmarkIsomap(2, n_neighbors=8, n_landmarks=30, metric=fn, random_state=0).fit(X)


def test_functions_may_not_change_the_rows_they_are_given() -> None:
    def scale(A: F64, B: F64) -> F64:
        A *= 2
        return cdist(A, B)

    rows = X.copy()
    with pytest.raises(ValueError, match="read-only"):
        LandmarkMDS(2, n_landmarks=30, metric=scale, random_state=0).fit(rows)
    np.testing.assert_array_equal(rows, X)


@pytest.mark.parametrize(
    ("fn", "message"),
    [
        (lambda u, v: float(u[0]), "must be symmetric"),
        (lambda u, v: 1j, "gave complex128"),
        (lambda A, B: A @ B.T / len(A), "depend on the other rows"),
    ],
)
def test_functions_that_are_no_kernel_are_refused(fn: Any, message: str) -> None:
    with pytest.raises(InputError, match=f"kernel callable: .*{message}"):
        Nystroem(2, n_landmarks=30, kernel=fn, random_state=0).fit(X)


@pytest.mark.parametrize("value", [0, -1, 2.0, 2.5, True, "2", [2]])
def test_counts_are_whole_numbers(value: Any) -> None:
    """n_components=-1 was taken for all but the last."""
    for model, name in [
        (LandmarkMDS(value, n_landmarks=30), "n_components"),
        (Nystroem(value, n_landmarks=30), "n_components"),
        (LandmarkMDS(2, n_landmarks=value), "n_landmarks"),
        (LandmarkIsomap(2, n_neighbors=value, n_landmarks=30), "n_neighbors"),
        (SpectralClustering(value, n_landmarks=30), "n_clusters"),
    ]:
        with pytest.raises(InputError, match=f"^{name}="):
            model.fit(X)
    with pytest.raises(InputError, match=r"^m is .*"):
        select_landmarks(X, value, random_state=0)


def test_counts_may_be_numpy_integers() -> None:
    model = LandmarkIsomap(np.int64(2), n_neighbors=np.int64(8), n_landmarks=np.int16(30), random_state=0)
    np.testing.assert_array_equal(
        model.fit_transform(X), LandmarkIsomap(2, n_neighbors=8, n_landmarks=30, random_state=0).fit_transform(X)
    )


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (Nystroem(gamma="auto"), "gamma='auto': needs a number"),
        (Nystroem(kernel=None), "kernel=None: needs a name or a function"),
        (Nystroem(kernel="polynomial", degree="3"), "degree='3': needs a number"),
        (LandmarkMDS(metric=None), "metric=None: needs a name or a function"),
        (LandmarkMDS(metric="minkowski", metric_params=[2]), r"metric_params=\[2\]: needs a dict"),
        (LandmarkMDS(selection=None), "selection=None: needs the name of a strategy"),
        (LandmarkMDS(selection=5), "selection=5: needs the name of a strategy"),
        (LandmarkDiffusionMap(t=0, n_landmarks=30), "t=0: .*positive"),
        (LandmarkDiffusionMap(alpha=2, n_landmarks=30), "alpha=2: .*power of 0 to 1"),
        (LandmarkDiffusionMap(t=1e6, n_landmarks=30), r"t=1e\+06: .*lower t"),
        (
            Nystroem(3, kernel="polynomial", degree=2.5, coef0=-5, n_landmarks=30),
            "negative number to raise to a fractional degree.*choose a whole degree",
        ),
    ],
)
def test_parameters_are_refused_by_name(model: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        model.fit(X)


def test_masked_values_are_refused() -> None:
    """scikit-learn drops the mask and uses the values under it."""
    masked = np.ma.masked_greater(X, 2)
    with pytest.raises(InputError, match=r"X: .* of 360 values are masked"):
        LandmarkMDS(2).fit(masked)
    with pytest.raises(InputError, match=r"y: .* of 120 values are masked"):
        NystroemRidge().fit(X, masked[:, 0])
    with pytest.raises(InputError, match=r"X: .* masked"):
        LandmarkMDS(2, n_landmarks=30).fit(X).transform(masked)


def test_integers_that_float64_rounds_are_refused() -> None:
    """2^62 and a spread of 5,000 kept one digit; a spread of 100 was called constant data."""
    rows = np.random.default_rng(0).integers(0, 5000, (60, 4)) + 2**62
    for dtype in (np.int64, np.uint64):
        with pytest.raises(InputError, match=r"X, row 0: holds an integer beyond 2\^53"):
            LandmarkMDS(2, n_landmarks=20).fit(rows.astype(dtype))
        with pytest.raises(InputError, match=r"beyond 2\^53"):
            NystroemRidge(n_landmarks=20).fit(rows.astype(dtype), np.arange(60.0))


def test_targets_that_are_times_or_text_are_refused() -> None:
    for model in (NystroemRidge(n_landmarks=20), SparseGPRegressor(n_landmarks=20)):
        with pytest.raises(InputError, match="y holds times"):
            model.fit(X, np.arange(120).astype("datetime64[s]"))
        with pytest.raises(InputError, match="y holds text"):
            model.fit(X, np.array(["1.5", "2"] * 60))


def test_rows_too_near_each_other_are_not_called_constant() -> None:
    with pytest.raises(InputError, match="squares of their distances are 0 in float64: multiply the rows"):
        LandmarkMDS(2, n_landmarks=30).fit(X * 1e-200)


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("model", [SpectralEmbedding, LandmarkDiffusionMap])
def test_rows_far_from_all_landmarks_are_placed_by_the_formula(model: Any, dtype: str) -> None:
    """Their degrees, 1e-10 to 1e-120 of the mean, were taken as 1e-12 of it, and coordinates came out as 0."""
    far = np.array([[30.0, 0, 0], [0, 40, 0], [25, 25, 5], [60, 30, 30]]).astype(dtype)
    fitted = model(2, n_landmarks=100, gamma=0.05, random_state=0).fit(X.astype(dtype))
    W = np.exp(-0.05 * cdist(far.astype(np.float64), fitted.landmarks_.astype(np.float64), "sqeuclidean"))
    scale = fitted.map_.scale
    right = W @ fitted.map_.readout * ((W @ scale.weights) ** scale.power)[:, None]
    np.testing.assert_allclose(fitted.transform(far), right, rtol=1e-4, atol=1e-38)

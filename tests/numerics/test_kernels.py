import numpy as np
import pytest
from sklearn.gaussian_process.kernels import Matern
from sklearn.metrics.pairwise import pairwise_kernels

from landmark_ops import InputError
from landmark_ops.numerics.kernel import KERNELS, Kernel, kernel_block, kernel_diagonal, resolve_kernel


@pytest.mark.parametrize("name", [name for name in KERNELS.names if name not in ("matern", "precomputed")])
def test_kernels_equal_sklearn(name, rng):
    X, Z = rng.random((20, 5)), rng.random((8, 5))
    kernel = resolve_kernel(name, Z, gamma=0.7, degree=3, coef0=0.5)
    parameters = {"gamma": 0.7} if name in ("rbf", "laplacian", "chi2") else {}
    if name in ("polynomial", "sigmoid"):
        parameters = {"gamma": 0.7, "coef0": 0.5}
    expected = pairwise_kernels(X, Z, metric=name, **parameters)
    np.testing.assert_allclose(kernel_block(X, Z, kernel), expected, rtol=1e-10)
    np.testing.assert_allclose(kernel_diagonal(X, kernel), np.diag(kernel_block(X, X, kernel)), rtol=1e-10)


@pytest.mark.parametrize("nu", [0.5, 1.5, 2.5])
def test_matern_equals_sklearn(nu, rng):
    X, Z = rng.normal(size=(20, 3)), rng.normal(size=(8, 3))
    kernel = resolve_kernel("matern", Z, gamma=0.4, nu=nu)
    np.testing.assert_allclose(kernel_block(X, Z, kernel), Matern(1 / 0.4, nu=nu)(X, Z), rtol=1e-9)


def test_callable_kernel_on_pairs(rng):
    X = rng.normal(size=(40, 3))
    kernel = resolve_kernel(lambda x, z: float(x @ z) ** 2, X)
    np.testing.assert_allclose(kernel_block(X, X[:5], kernel), (X @ X[:5].T) ** 2)
    np.testing.assert_allclose(kernel_diagonal(X, kernel), (X**2).sum(axis=1) ** 2)


def test_default_bandwidth_is_the_median_rule(rng):
    Z = rng.normal(size=(100, 4))
    distances = np.sqrt(((Z[:, None] - Z) ** 2).sum(-1))[np.triu_indices(100, 1)]
    assert resolve_kernel("rbf", Z).gamma == pytest.approx(1 / (2 * np.median(distances) ** 2))
    assert resolve_kernel("polynomial", Z).gamma == 0.25


@pytest.mark.parametrize(
    ("kernel", "arguments", "message"),
    [
        ("rfb", {}, "unknown: did you mean rbf"),
        ("rbf", {"gamma": 0.0}, "must be positive and finite"),
        ("rbf", {"gamma": float("nan")}, "must be positive and finite"),
        ("matern", {"nu": 2.0}, "must be one of 0.5, 1.5, 2.5"),
        ("chi2", {}, "negative values"),
    ],
)
def test_impossible_kernels_are_refused(kernel, arguments, message):
    with pytest.raises(InputError, match=message):
        resolve_kernel(kernel, np.array([[1.0, -1.0], [0.0, 2.0]]), **arguments)


def test_identical_landmarks_have_no_median_distance():
    with pytest.raises(InputError, match="all 5 landmarks are identical"):
        resolve_kernel("rbf", np.ones((5, 2)))


def test_kernels_keep_float32():
    X = np.ones((3, 4), np.float32)
    for name in ("rbf", "linear", "polynomial", "sigmoid", "cosine", "matern"):
        assert kernel_block(X, 2 * X, Kernel(name)).dtype == np.float32

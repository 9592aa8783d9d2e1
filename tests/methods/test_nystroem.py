import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.decomposition import KernelPCA
from sklearn.kernel_approximation import Nystroem as SklearnNystroem
from sklearn.metrics.pairwise import pairwise_kernels

from landmark_ops import InputError, Nystroem, NystroemKernelPCA


@pytest.mark.parametrize("kernel", ["rbf", "laplacian", "polynomial", "linear", "cosine", "chi2"])
def test_kernel_approximation_equals_sklearn(kernel, rng):
    X = rng.random((200, 5))
    ours = Nystroem(n_landmarks=40, kernel=kernel, gamma=0.5, random_state=0).fit(X)
    extra = {"gamma": 0.5} if kernel in ("rbf", "laplacian", "chi2") else {}
    if kernel == "polynomial":
        extra = {"gamma": 0.5, "coef0": 1, "degree": 3}
    theirs = SklearnNystroem(kernel=kernel, n_components=40, **extra).fit(ours.landmarks_)
    F, G = ours.transform(X), theirs.transform(X)
    np.testing.assert_allclose(F @ F.T, G @ G.T, atol=1e-6)


def test_with_every_row_a_landmark_the_kernel_is_exact(rng):
    X = rng.normal(size=(60, 3))
    F = Nystroem(selection=np.arange(60), kernel="matern", gamma=0.7).fit_transform(X)
    K = Nystroem(selection=np.arange(60), kernel="matern", gamma=0.7).fit(X).map_.block_of(X)
    np.testing.assert_allclose(F @ F.T, K, atol=1e-9)


def test_error_is_positive_semidefinite_and_residual_is_its_diagonal(rng):
    X = rng.normal(size=(150, 3))
    fitted = Nystroem(n_landmarks=30, kernel="rbf", gamma=0.5, random_state=0).fit(X)
    F = fitted.transform(X)
    error = pairwise_kernels(X, X, metric="rbf", gamma=0.5) - F @ F.T
    assert np.linalg.eigvalsh(error)[0] > -1e-9
    np.testing.assert_allclose(fitted.map_.place(X).residual, np.diag(error), atol=1e-9)


def test_float32_error_does_not_grow_with_landmarks(rng):
    """With an absolute cutoff it does: 5.4e-4 at 50 to 1.0e-3 at 400 landmarks."""
    X = rng.normal(size=(600, 3)).astype(np.float32)
    errors = []
    for m in (50, 400):
        single = Nystroem(n_landmarks=m, kernel="rbf", gamma=0.1, random_state=0).fit(X)
        F = single.transform(X)
        G = Nystroem(n_landmarks=m, kernel="rbf", gamma=0.1, random_state=0).fit_transform(X.astype(np.float64))
        errors.append(np.abs(F @ F.T - G @ G.T).max())
        assert F.dtype == np.float32
    assert errors[1] < 2 * errors[0] + 1e-5


def test_features_are_ordered_and_truncated(rng):
    X = rng.normal(size=(100, 3))
    full = Nystroem(n_landmarks=30, kernel="rbf", random_state=0).fit(X)
    few = Nystroem(4, n_landmarks=30, kernel="rbf", random_state=0).fit(X)
    np.testing.assert_allclose(few.transform(X), full.transform(X)[:, :4], atol=1e-12)
    assert (np.diff(full.spectrum_) <= 0).all()
    assert few.get_feature_names_out().tolist() == [f"nystroem{i}" for i in range(4)]


@pytest.mark.parametrize("kernel", ["rbf", "polynomial", "sigmoid", "cosine", "linear"])
def test_kernel_pca_with_every_row_a_landmark_equals_sklearn(kernel, rng):
    X = rng.normal(size=(80, 4))
    gamma = 0.2
    exact = KernelPCA(3, kernel="poly" if kernel == "polynomial" else kernel, gamma=gamma, coef0=1, degree=3)
    if kernel == "sigmoid":
        X = X * 0.2
    expected = exact.fit_transform(X)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # sigmoid is not positive semidefinite, and says so
        ours = NystroemKernelPCA(3, selection=np.arange(80), kernel=kernel, gamma=gamma).fit(X)
    tolerance = 1e-6 if kernel != "sigmoid" else 2e-2  # its negative directions are dropped before centring
    np.testing.assert_allclose(np.abs(ours.transform(X)), np.abs(expected), atol=tolerance)
    np.testing.assert_allclose(ours.eigenvalues_, exact.eigenvalues_ / 80, rtol=max(tolerance, 1e-6))


def test_kernel_pca_is_centred_on_all_rows_and_not_on_the_batch(rng):
    X = rng.normal(size=(500, 4))
    fitted = NystroemKernelPCA(2, n_landmarks=50, random_state=0).fit(X)
    np.testing.assert_allclose(fitted.transform(X).mean(axis=0), 0, atol=1e-10)
    np.testing.assert_allclose(fitted.transform(X[:3]), fitted.transform(X)[:3], atol=1e-10)
    np.testing.assert_allclose(fitted.transform(fitted.landmarks_), fitted.landmark_embedding_, atol=1e-9)


def test_kernel_pca_residual_is_the_feature_space_distance_left(rng):
    X = rng.normal(size=(70, 3))
    fitted = NystroemKernelPCA(5, selection=np.arange(70), kernel="rbf", gamma=0.3).fit(X)
    K = pairwise_kernels(X, X, metric="rbf", gamma=0.3)
    from_mean = np.diag(K) - 2 * K.mean(axis=1) + K.mean()
    placed = fitted.map_.place(X)
    np.testing.assert_allclose(placed.residual, from_mean - (placed.embedding**2).sum(axis=1), atol=1e-8)
    assert (placed.residual > -1e-8).all()


@settings(deadline=None, max_examples=15)
@given(chunk=st.integers(1, 400))
def test_chunking_changes_nothing(chunk):
    import dask.array as da

    X = np.random.default_rng(0).normal(size=(400, 4))
    expected = NystroemKernelPCA(3, n_landmarks=40, random_state=1).fit_transform(X)
    lazy = da.from_array(X, chunks=(chunk, 4))
    found = NystroemKernelPCA(3, n_landmarks=40, random_state=1).fit(lazy).transform(lazy)
    np.testing.assert_allclose(found.compute(scheduler="sync"), expected, atol=1e-9)


def test_indefinite_kernels_say_how_much_was_dropped(rng):
    with pytest.warns(UserWarning, match="not positive semidefinite"):
        fitted = Nystroem(n_landmarks=30, kernel="sigmoid", gamma=2.0, random_state=0).fit(rng.normal(size=(50, 3)))
    assert fitted.negative_mass_ > 0


@pytest.mark.parametrize(
    ("estimator", "X", "message"),
    [
        (
            Nystroem(50, n_landmarks=20, kernel="linear"),
            np.random.default_rng(0).random((30, 4)),
            "exceeds the numerical rank 4 of the linear",
        ),
        (NystroemKernelPCA(2, n_landmarks=20, kernel="linear"), np.ones((30, 3)), "the data is constant"),
        (NystroemKernelPCA(2, n_landmarks=20), np.ones((30, 3)), "all 20 landmarks are identical"),
        (Nystroem(n_landmarks=20, kernel="linear"), np.zeros((30, 3)), "are zero"),
    ],
)
@pytest.mark.filterwarnings("ignore:.*landmarks repeat")
def test_degenerate_data_is_refused(estimator, X, message):
    with pytest.raises(InputError, match=message):
        estimator.set_params(random_state=0).fit(X)

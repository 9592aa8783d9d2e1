import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import orthogonal_procrustes
from scipy.spatial.distance import cdist
from sklearn.decomposition import PCA

from landmark_ops import InputError, LandmarkMDS
from landmark_ops.numerics.metric import METRICS
from landmark_ops.numerics.metrics.boolean import Boolean

BOOLEAN = [one.name for one in METRICS if isinstance(one, Boolean)]
SCIPY = [
    one.name
    for one in METRICS
    if one.transform is None and one.name not in ("haversine", "nan_euclidean", "precomputed")
]


def classical_mds(sq_dists: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Textbook classical scaling in dense NumPy: the oracle."""
    n = len(sq_dists)
    J = np.eye(n) - 1 / n
    values, vectors = np.linalg.eigh(-0.5 * J @ sq_dists @ J)
    values, vectors = values[::-1][:k], vectors[:, ::-1][:, :k]
    return vectors * np.sqrt(values), values


def disparity(A: np.ndarray, B: np.ndarray) -> float:
    """Relative distance between centred configurations after the best rotation."""
    A, B = A - A.mean(axis=0), B - B.mean(axis=0)
    R, _ = orthogonal_procrustes(A, B)
    return float(np.linalg.norm(A @ R - B) / np.linalg.norm(B))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("align", [False, True])
def test_low_rank_data_is_recovered_exactly(dtype, align, rng):
    """k-dimensional Euclidean data in d dimensions, away from the origin: distances between all rows survive."""
    X = (rng.normal(size=(400, 3)) @ rng.normal(size=(3, 20)) + 5).astype(dtype)
    Y = LandmarkMDS(3, n_landmarks=25, align=align, random_state=0).fit_transform(X)
    assert Y.dtype == dtype
    found, exact = cdist(Y, Y), cdist(X.astype(np.float64), X.astype(np.float64))
    tolerance = 1e-5 if dtype == np.float32 else 1e-10
    assert np.abs(found - exact).max() / exact.max() < tolerance


@pytest.mark.parametrize("metric", ["euclidean", *SCIPY])
def test_with_every_row_a_landmark_it_is_classical_mds(metric, rng):
    X = rng.random((40, 5))
    if metric in BOOLEAN or metric == "hamming":
        X = rng.integers(0, 2, (40, 20)).astype(float)
    # the inverse covariance of the rows themselves would make all directions equal
    params = {"VI": np.diag([1.0, 2, 4, 8, 16])} if metric == "mahalanobis" else None
    mds = LandmarkMDS(3, selection=np.arange(40), metric=metric, metric_params=params).fit(X)
    D = cdist(
        X.astype(bool) if metric in BOOLEAN else X,
        X.astype(bool) if metric in BOOLEAN else X,
        metric,
        **dict(mds.map_.block.params),
    )
    expected, values = classical_mds(D**2, 3)
    np.testing.assert_allclose(mds.eigenvalues_, values, rtol=1e-8)
    Y = mds.transform(X)
    np.testing.assert_allclose(Y @ Y.T, expected @ expected.T, atol=1e-8 * values[0])


@pytest.mark.parametrize("metric", ["cosine", "correlation", "sqeuclidean"])
def test_squared_metrics_are_not_squared_again(metric, rng):
    X = rng.random((30, 6))
    factor = 1 if metric == "sqeuclidean" else 2
    expected, values = classical_mds(factor * cdist(X, X, metric), 3)
    mds = LandmarkMDS(3, selection=np.arange(30), metric=metric).fit(X)
    np.testing.assert_allclose(mds.eigenvalues_, values, rtol=1e-9)
    assert disparity(mds.transform(X), expected) < 1e-9


@pytest.mark.parametrize("metric", ["euclidean", "cosine", "cityblock", "canberra"])
def test_landmarks_reproduce_their_own_coordinates(metric, rng):
    X = rng.random((300, 8))
    mds = LandmarkMDS(4, n_landmarks=60, metric=metric, random_state=3).fit(X)
    np.testing.assert_allclose(mds.transform(mds.landmarks_), mds.landmark_embedding_, atol=1e-10)
    np.testing.assert_array_equal(X[mds.landmark_indices_], mds.landmarks_)


@settings(deadline=None, max_examples=25)
@given(chunk=st.integers(1, 500), columns=st.integers(1, 6), align=st.booleans())
def test_chunking_changes_nothing(chunk, columns, align):
    import dask.array as da

    X = np.random.default_rng(0).normal(size=(500, 6))
    mds = LandmarkMDS(2, n_landmarks=50, align=align, random_state=1)
    expected = mds.fit_transform(X)
    lazy = da.from_array(X, chunks=(chunk, columns))
    again = LandmarkMDS(2, n_landmarks=50, align=align, random_state=1).fit(lazy)
    np.testing.assert_array_equal(again.landmark_indices_, mds.landmark_indices_)
    np.testing.assert_allclose(again.transform(lazy).compute(scheduler="sync"), expected, atol=1e-10)


def test_alignment_gives_the_principal_axes_of_all_rows(rng):
    X = rng.normal(size=(2000, 4)) * [5, 3, 2, 1]
    mds = LandmarkMDS(4, n_landmarks=30, align=True, random_state=0).fit(X)
    Y = mds.transform(X)
    np.testing.assert_allclose(Y.mean(axis=0), 0, atol=1e-10)
    np.testing.assert_allclose(np.abs(Y), np.abs(PCA(4).fit_transform(X)), atol=1e-8)
    np.testing.assert_allclose(mds.eigenvalues_, Y.var(axis=0), rtol=1e-9)
    np.testing.assert_allclose(mds.transform(mds.landmarks_), mds.landmark_embedding_, atol=1e-9)


def test_residual_is_the_squared_distance_not_explained(rng):
    X = rng.normal(size=(200, 5))
    mds = LandmarkMDS(2, n_landmarks=200, selection=np.arange(200)).fit(X)
    placed = mds.map_.place(X)
    squares = ((X - X.mean(axis=0)) ** 2).sum(axis=1)
    np.testing.assert_allclose(placed.residual, squares - (placed.embedding**2).sum(axis=1), atol=1e-10)
    assert (placed.residual > -1e-10).all()


def test_digits_match_pca_as_closely_as_the_guide_says():
    """Procrustes against PCA (squared, scaled) with 400 uniform landmarks: .0054 in the mean of draws."""
    from scipy.spatial import procrustes
    from sklearn.datasets import load_digits

    X = load_digits().data
    exact = PCA(10).fit_transform(X)
    drawn = [LandmarkMDS(10, n_landmarks=400, random_state=seed).fit_transform(X) for seed in range(6)]
    found = [procrustes(exact, Y)[2] for Y in drawn]
    assert np.mean(found) == pytest.approx(0.0054, abs=0.0004)
    assert max(found) < 0.012


def test_duplicate_landmarks_are_told(rng):
    X = np.repeat(rng.normal(size=(20, 3)), 5, axis=0)
    with pytest.warns(UserWarning, match="80 of 100 landmarks repeat another"):
        Y = LandmarkMDS(3, n_landmarks=100, selection=np.arange(100)).fit_transform(X)
    np.testing.assert_allclose(cdist(Y, Y), cdist(X, X), atol=1e-9)


@pytest.mark.parametrize(
    ("X", "message"),
    [
        (np.ones((50, 3)), "landmarks are identical under euclidean: the data is constant"),
        (np.outer(np.arange(50.0), [1, 2, 3]), "n_components=2 exceeds the numerical rank 1 of the centred distances"),
        (np.ones((1, 3)), "n_samples = 1, at least 2 rows"),
    ],
)
def test_degenerate_data_is_refused(X, message):
    with pytest.raises(InputError, match=message):
        LandmarkMDS(2, n_landmarks=len(X), selection=np.arange(len(X))).fit(X)


def test_zero_rows_under_cosine_are_refused():
    X = np.vstack([np.eye(4), np.zeros((1, 4))])
    with pytest.raises(InputError, match="undefined on 1 of 5 landmarks"):
        LandmarkMDS(2, selection=np.arange(5), metric="cosine").fit(X)


def test_single_precision_landmark_distances_far_from_the_origin(rng):
    X = (rng.normal(size=(300, 50)) + 100).astype(np.float32)
    Y = LandmarkMDS(5, n_landmarks=100, random_state=0).fit_transform(X)
    exact = LandmarkMDS(5, n_landmarks=100, random_state=0).fit_transform(X.astype(np.float64))
    assert disparity(Y.astype(np.float64), exact) < 1e-4

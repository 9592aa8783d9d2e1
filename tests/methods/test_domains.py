"""What metrics and kernels ask of rows is asked of every row, whichever of them are landmarks."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pytest

from landmark_ops import (
    InputError,
    LandmarkDiffusionMap,
    LandmarkIsomap,
    LandmarkMDS,
    Nystroem,
    NystroemKernelPCA,
    NystroemRidge,
    SpectralClustering,
    SpectralEmbedding,
)
from landmark_ops.numerics.blocks import domain, negative_rows
from landmark_ops.numerics.kernel import Kernel
from landmark_ops.numerics.metric import Metric

RNG = np.random.default_rng(2)
HISTOGRAMS = RNG.gamma(0.8, 1.0, (300, 6)) + 1e-3
BITS = (RNG.random((300, 18)) < 0.5) * 1.0
BITS[:, 0] = 1
PLACES = np.stack([RNG.uniform(-1.5, 1.5, 300), RNG.uniform(-3, 3, 300)], axis=1)


def spoiled(X: np.ndarray, value: float) -> np.ndarray:
    out = X.copy()
    out[[150, 151, 222], 1] = value
    return out


def zeroed(X: np.ndarray) -> np.ndarray:
    out = X.copy()
    out[[150, 151, 222]] = 0
    return out


DOMAINS = [
    ("jensenshannon", HISTOGRAMS, spoiled(HISTOGRAMS, -0.1), "negative values"),
    ("jensenshannon", HISTOGRAMS, zeroed(HISTOGRAMS), "nothing but zeros"),
    ("braycurtis", HISTOGRAMS, zeroed(HISTOGRAMS), "are zero rows"),
    ("jaccard", BITS, spoiled(BITS, 0.3), "values other than 0 and 1"),
    ("rogerstanimoto", BITS, spoiled(BITS, 255), "values other than 0 and 1"),
    ("yule", BITS, spoiled(BITS, -1), "values other than 0 and 1"),
    ("dice", BITS, spoiled(BITS, 0.3), "values other than 0 and 1"),
    ("sokalsneath", BITS, zeroed(BITS), "or only 0"),
    ("haversine", PLACES, spoiled(PLACES, 121.0), "radians"),
    ("haversine", PLACES, np.where(np.isin(np.arange(300), [150, 151, 222])[:, None], 45.0, PLACES), "radians"),
]


@pytest.mark.parametrize(("metric", "good", "bad", "words"), DOMAINS)
@pytest.mark.parametrize("seed", [0, 5])
def test_rows_outside_a_metrics_domain_are_refused_whatever_the_seed(metric, good, bad, words, seed):
    message = rf"3 of 300 rows .*{words}.*, the first is row 150: "
    for strategy in ("uniform", "maxmin"):
        estimator = LandmarkMDS(2, n_landmarks=20, metric=metric, selection=strategy, random_state=seed)
        with pytest.raises(InputError, match=message):
            estimator.fit(bad)
        assert np.isfinite(estimator.fit_transform(good)).all()
        with pytest.raises(InputError, match=message):
            estimator.transform(bad)
    with pytest.raises(InputError, match=rf"3 of 300 rows .*{words}"):
        LandmarkIsomap(2, n_landmarks=20, metric=metric, components="join", random_state=seed).fit(bad)
    with pytest.raises(InputError, match=rf"rows .*{words}"):
        estimator.transform(da.from_array(bad, chunks=(100, -1))).compute(scheduler="sync")


@pytest.mark.parametrize("seed", [0, 5, 7, 8, 11])
@pytest.mark.parametrize(
    "estimator",
    [
        Nystroem(kernel="chi2", n_landmarks=20),
        Nystroem(kernel="chi2", n_landmarks=20, selection="rpcholesky"),
        NystroemKernelPCA(2, kernel="chi2", n_landmarks=20),
        SpectralEmbedding(2, kernel="chi2", n_landmarks=20),
        LandmarkDiffusionMap(2, kernel="chi2", n_landmarks=20),
    ],
    ids=lambda one: type(one).__name__,
)
def test_chi2_refuses_negative_rows_whatever_the_seed(estimator, seed):
    message = r"3 of 300 rows hold negative values, kernel chi2 .*, the first is row 150: "
    estimator.set_params(random_state=seed)
    bad = spoiled(HISTOGRAMS, -0.1)
    with pytest.raises(InputError, match=message):
        estimator.fit(bad)
    with pytest.raises(InputError, match=message):
        estimator.fit(da.from_array(bad, chunks=(70, -1)))
    with pytest.raises(InputError, match=message):
        estimator.fit(HISTOGRAMS).transform(bad)


def test_predictions_of_rows_outside_the_domain_are_refused():
    bad, y = spoiled(HISTOGRAMS, -0.1), HISTOGRAMS.sum(axis=1)
    ridge = NystroemRidge(kernel="chi2", n_landmarks=20, random_state=0)
    with pytest.raises(InputError, match=r"3 of 300 rows hold negative values"):
        ridge.fit(bad, y)
    with pytest.raises(InputError, match=r"3 of 300 rows hold negative values"):
        ridge.fit(HISTOGRAMS, y).predict(bad)


@pytest.mark.filterwarnings("ignore:kernel sigmoid is not positive")
@pytest.mark.parametrize("kernel", ["cosine", "linear", "polynomial", "sigmoid", "own"])
@pytest.mark.parametrize("estimator", [SpectralEmbedding(2), SpectralClustering(2), LandmarkDiffusionMap(2)], ids=repr)
def test_affinities_must_not_be_negative_on_any_row(estimator, kernel):
    """Rows all alike but three, which landmarks are unlikely to be: only a look at every row finds them."""
    X = np.abs(RNG.normal(size=(400, 4))) + 0.5
    bad = X.copy()
    bad[[7, 200, 399]] *= -1
    look = (lambda A, B: A @ B.T) if kernel == "own" else kernel
    estimator.set_params(kernel=look, coef0=0.1, n_landmarks=30, random_state=1)
    assert np.isfinite(estimator.fit(X).transform(X)).all()
    with pytest.raises(InputError, match=r"3 rows have negative|3 of 400 rows .*negative.*the first is row 7"):
        estimator.transform(bad)
    with pytest.raises(InputError, match="negative"):
        estimator.fit(bad)


def test_a_kernel_that_is_negative_here_and_there_is_refused():
    X = RNG.normal(size=(300, 4))
    for estimator in (SpectralEmbedding(2, kernel="cosine"), LandmarkDiffusionMap(2, kernel="linear")):
        with pytest.raises(InputError, match="negative"):
            estimator.set_params(n_landmarks=40, random_state=0).fit(X)


def test_zero_rows_are_refused_where_they_have_no_direction():
    X = RNG.normal(size=(100, 3))
    fitted = LandmarkMDS(2, n_landmarks=20, metric="cosine", random_state=0).fit(X)
    with pytest.raises(InputError, match=r"1 of 100 rows are zero rows.*the first is row 40"):
        fitted.transform(np.where(np.arange(100)[:, None] == 40, 0, X))


@pytest.mark.parametrize("kernel", ["polynomial", "linear"])
def test_kernels_that_overflow_float64_say_so(kernel):
    X = RNG.normal(size=(60, 3))
    fitted = Nystroem(3, kernel=kernel, degree=3, n_landmarks=20, random_state=0).fit(X)
    far = X.copy()
    far[[5, 6]] *= 1e200
    with pytest.raises(InputError, match=rf"2 of 60 rows are so large that kernel {kernel}.* overflows float64.*row 5"):
        fitted.transform(far)
    with pytest.raises(InputError, match="overflows float64"):
        Nystroem(3, kernel=kernel, n_landmarks=20, random_state=0).fit(X * 1e200)


def test_precomputed_distances_are_not_negative():
    D = np.linalg.norm(HISTOGRAMS[:, None] - HISTOGRAMS[:12], axis=2)
    estimator = LandmarkMDS(2, metric="precomputed", selection=np.arange(12))
    assert np.isfinite(estimator.fit_transform(D)).all()
    D[150, 3] = -1
    with pytest.raises(InputError, match=r"1 of 300 rows hold negative distances, the first is row 150"):
        estimator.fit(D)


def test_only_what_is_asked_for_is_looked_at():
    assert domain(Metric("euclidean")) is None
    assert domain(Metric("hamming")) is None
    assert domain(Kernel("rbf")) is None
    assert domain(Kernel("precomputed")) is None  # kernels may be negative, weights may not: `negative_rows`
    values = np.array([[0.0, 1.0], [-1e-9, 1.0], [-0.5, 1.0], [np.nan, 1.0]])
    assert negative_rows(values, Kernel("rbf")) is None
    assert negative_rows(values, Kernel("linear")).tolist() == [False, False, True, False]

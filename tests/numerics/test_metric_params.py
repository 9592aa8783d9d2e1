"""Parameters of metrics: right ones pass unchanged, wrong ones are refused with their value and the one needed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import cdist

from landmark_ops import InputError, LandmarkIsomap, LandmarkMDS
from landmark_ops.numerics.metric import dists, resolve_metric
from landmark_ops.numerics.metrics.minkowski import minkowski

X = np.random.default_rng(8).normal(size=(90, 4)) * [1.0, 5.0, 0.2, 30.0]


@pytest.mark.parametrize(
    ("metric", "params", "message"),
    [
        ("mahalanobis", {"VI": [1, 2, 1, 1]}, r"VI for mahalanobis has shape \(4,\), rows of 4 features need \(4, 4\)"),
        ("mahalanobis", {"VI": np.eye(2)}, r"VI for mahalanobis has shape \(2, 2\), rows of 4 features need \(4, 4\)"),
        ("mahalanobis", {"VI": np.eye(5)}, r"shape \(5, 5\), rows of 4 features need \(4, 4\)"),
        ("mahalanobis", {"VI": np.diag([1, 1, 1, -1.0])}, r"not positive definite, its least eigenvalue is -1"),
        ("mahalanobis", {"VI": np.zeros((4, 4))}, "not positive definite"),
        ("mahalanobis", {"VI": np.triu(np.ones((4, 4)))}, r"is not symmetric, entries differ by up to 1 "),
        ("mahalanobis", {"VI": np.diag([1, 1, np.nan, 1])}, "VI for mahalanobis holds 1 NaN or Inf: all 16 must be"),
        ("mahalanobis", {"VI": "identity"}, r"VI for mahalanobis is no array of numbers: give one of shape \(4, 4\)"),
        ("mahalanobis", {"VI": [[1, 0], [0]]}, "VI for mahalanobis is no array of numbers"),
        ("mahalanobis", {"V": np.eye(4)}, r"'V' is no parameter of mahalanobis; it takes \['VI'\]"),
        ("seuclidean", {"V": [1, 1, 1]}, r"V for seuclidean has shape \(3,\), rows of 4 features need \(4,\)"),
        ("seuclidean", {"V": [1, 1, 0, 1]}, "V for seuclidean needs 4 positive variances, got 1 not positive"),
        ("seuclidean", {"V": [1, 1, np.inf, 1]}, "V for seuclidean holds 1 NaN or Inf"),
        ("seuclidean", {"V": None}, "V for seuclidean"),
        ("minkowski", {"p": 2, "w": [1, 1]}, r"w for minkowski has shape \(2,\), rows of 4 features need \(4,\)"),
        ("minkowski", {"w": [1, -1, 1, 1]}, "w for minkowski holds 1 negative and 3 positive weights"),
        ("minkowski", {"w": np.zeros(4)}, "one at least above 0"),
        ("minkowski", {"p": "inf"}, "p='inf' for minkowski is no number"),
        ("minkowski", {"p": True}, "p=True for minkowski is no number"),
        ("minkowski", {"p": [2]}, r"p=\[2\] for minkowski is no number"),
        ("minkowski", {"p": float("nan")}, r"p=nan for minkowski must be at least 1"),
        ("cityblock", {"w": np.ones(4)}, "'w' is no parameter of cityblock; it takes none"),
        ("precomputed", {"p": 2}, "'p' is no parameter of precomputed"),
    ],
)
def test_wrong_parameters_are_named(metric, params, message):
    with pytest.raises(InputError, match=message) as caught:
        resolve_metric(metric, params, X)
    assert "\n" not in str(caught.value)
    for strategy in ("uniform", "maxmin") if metric != "precomputed" else ():
        with pytest.raises(InputError, match=message):
            LandmarkMDS(2, n_landmarks=20, metric=metric, metric_params=params, selection=strategy).fit(X)


@pytest.mark.parametrize(
    ("metric", "params"),
    [
        ("mahalanobis", {"VI": np.diag([1, 2, 3, 4.0])}),
        ("mahalanobis", {"VI": np.diag([1, 2, 3, 0.0])}),  # a pseudometric: one feature is not looked at
        ("seuclidean", {"V": [1, 2, 3, 4]}),
        ("minkowski", {"p": 3, "w": [1, 0, 2, 1]}),
        ("minkowski", {"p": float("inf")}),
        ("minkowski", {"p": np.int64(4)}),
    ],
)
def test_right_parameters_give_scipys_distances(metric, params):
    found = dists(X, X[:7], resolve_metric(metric, params, X))
    np.testing.assert_allclose(found, cdist(X, X[:7], metric, **{k: np.asarray(v, float) for k, v in params.items()}))


@pytest.mark.parametrize("scale", [1e-140, 1e-30, 1.0, 1e30, 1e140])
@pytest.mark.parametrize("metric", ["seuclidean", "mahalanobis"])
def test_estimates_do_not_depend_on_units(metric, scale):
    units = scale * np.array([1.0, 1e6, 1e-6, 1.0])  # nor on features being in units of their own
    found = dists(X * units, X[:5] * units, resolve_metric(metric, None, X * units))
    np.testing.assert_allclose(found, dists(X, X[:5], resolve_metric(metric, None, X)), rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("metric", ["seuclidean", "mahalanobis"])
def test_variances_beyond_float64_are_refused_by_their_cause(metric):
    for scale in (1e-170, 1e170):
        with pytest.raises(InputError, match=f"metric {metric}: the variances of . of 4 features.*beyond float64"):
            resolve_metric(metric, None, X * scale)
    with pytest.raises(InputError, match=r"1 of 4 features are constant|singular over 4 features"):
        resolve_metric(metric, None, X * [1, 1, 0, 1])


@given(p=st.floats(1, 1e4), scale=st.sampled_from([1e-300, 1e-38, 1.0, 1e38, 1e300]))
def test_minkowski_holds_at_every_order_and_scale(p, scale):
    A, B = X[:6] / 30, X[6:9] / 30
    ratio = np.abs(A[:, None] - B) / np.abs(A[:, None] - B).max(axis=2, keepdims=True)
    right = np.abs(A[:, None] - B).max(axis=2) * (ratio**p).sum(axis=2) ** (1 / p)
    np.testing.assert_allclose(minkowski(A * scale, B * scale, p), right * scale, rtol=1e-9)


@pytest.mark.parametrize("strategy", ["uniform", "maxmin", "kmeans", "active"])
@pytest.mark.parametrize(
    ("metric", "params"),
    [
        ("seuclidean", None),
        ("seuclidean", {"V": [1.0, 25.0, 0.04, 900.0]}),
        ("mahalanobis", None),
        ("mahalanobis", {"VI": np.diag([1, 0.04, 25, 1e-3])}),
        ("minkowski", {"p": 3, "w": [1, 2, 3, 4]}),
    ],
)
def test_every_strategy_resolves_a_metric_on_rows_of_the_datas_width(strategy, metric, params):
    fitted = LandmarkMDS(2, n_landmarks=30, metric=metric, metric_params=params, selection=strategy, random_state=0)
    assert np.isfinite(fitted.fit_transform(X)).all()


@pytest.mark.parametrize("strategy", ["uniform", "maxmin", "active"])
def test_callables_are_tried_on_the_datas_width(strategy):
    w = np.array([2.0, 1.0, 1.0, 0.5])
    blocks = LandmarkMDS(2, n_landmarks=30, metric=lambda A, B: cdist(A * w, B * w), selection=strategy, random_state=0)
    pairs = LandmarkMDS(
        2, n_landmarks=30, metric=lambda a, b: float(np.linalg.norm((a - b) * w)), selection=strategy, random_state=0
    )
    np.testing.assert_allclose(blocks.fit_transform(X), pairs.fit_transform(X), atol=1e-8)


@pytest.mark.parametrize("metric", ["seuclidean", "mahalanobis"])
@pytest.mark.parametrize("strategy", ["uniform", "maxmin"])
def test_isomap_takes_metrics_with_estimated_parameters(metric, strategy):
    found = LandmarkIsomap(2, n_landmarks=30, metric=metric, selection=strategy, components="join", random_state=0)
    assert np.isfinite(found.fit_transform(X)).all()

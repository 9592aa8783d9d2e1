"""Targets of any size and spread: predictions keep their digits, or the target is refused with its cause."""

import dask.array as da
import numpy as np
import pytest

from landmark_ops import InputError, NystroemRidge, NystroemRidgeClassifier, SparseGPRegressor
from landmark_ops.maps.heads import Regression
from landmark_ops.maps.target_numbers import needs_double
from landmark_ops.maps.target_sums import TargetSums

RNG = np.random.default_rng(5)
X = RNG.uniform(-3, 3, (240, 2))
F = np.sin(X[:, 0]) * np.cos(X[:, 1])
NOISE = RNG.normal(size=240)
RIDGE = NystroemRidge(n_landmarks=60, gamma=0.4, alpha=0.1, random_state=0)
GP = SparseGPRegressor(n_landmarks=60, gamma=0.4, random_state=0)


def head(model) -> Regression:
    return model.map_.head


@pytest.mark.parametrize("model", [RIDGE, GP], ids=["ridge", "gp"])
@pytest.mark.parametrize(
    ("offset", "scale", "wide"),
    [
        (0, 1, False),
        (100, 1, False),
        (1.7e9, 1, True),
        (-1e15, 1, True),
        (1, 1e-9, True),
        (0, 1e-30, False),
        (0, 1e30, False),
        (0, 1e-44, True),
        (0, 1e39, True),
        (0, 1e-130, True),
        (0, 1e130, True),
    ],
)
def test_the_answer_moves_and_scales_with_the_target(model, offset, scale, wide):
    """What float64 holds of the target itself is all that may be lost."""
    y = F + 0.1 * NOISE
    plain = model.fit(X, y).predict(X)
    fitted = model.fit(X, offset + scale * y)
    found = (fitted.predict(X) - offset) / scale
    lost = np.spacing(abs(offset) + scale) / scale
    np.testing.assert_allclose(found, plain, atol=20 * lost + 1e-7 * (model is RIDGE) + 2e-3 * (model is GP))
    assert head(fitted).wide == wide


def test_near_a_time_stamp_noise_of_one_is_rmse_one():
    for model in (RIDGE, GP):
        y = 1.7e9 + 3 * F + NOISE
        assert 0.8 < np.sqrt(np.mean((model.fit(X, y).predict(X) - y) ** 2)) < 1.1


@pytest.mark.parametrize("model", [RIDGE, GP], ids=["ridge", "gp"])
def test_integers_beyond_float32_are_predicted_in_float64(model):
    y = (2**40 + 100 * F + 10 * NOISE).astype(np.int64)
    fitted = model.fit(X, y)
    assert head(fitted).wide
    assert 8 < np.sqrt(np.mean((fitted.predict(X) - y) ** 2)) < 11
    assert not head(model.fit(X, y - 2**40)).wide


@pytest.mark.parametrize("model", [RIDGE, GP], ids=["ridge", "gp"])
@pytest.mark.parametrize(
    ("y", "message"),
    [
        (1e200 * F, r"y: values from -.*e\+199 to .*e\+199 have a variance outside 1e-280 to 1e\+280, .* another unit"),
        (1e-200 * F, r"y: values from -.*e-201 to .*e-201 have a variance outside"),
        (
            2**62 + np.rint(NOISE).astype(np.int64),
            r"integers up to 4\.6.*e\+18 are beyond 2\^53, .* subtract an offset",
        ),
        (np.rint(2.0**63 + 5 * NOISE).astype(np.uint64) + np.arange(240, dtype=np.uint64) % 9, "beyond 2"),
    ],
)
def test_targets_that_float64_does_not_carry_are_refused(model, y, message):
    with pytest.raises(InputError, match=message):
        model.fit(X, y)


@pytest.mark.parametrize("y", [2**62 * F, (2.0**63 + 2.0**62 * F)], ids=["int64", "uint64"])
def test_large_integers_that_vary_enough_are_learned(y):
    y = y.astype(np.uint64 if y.min() > 0 else np.int64)
    fitted = RIDGE.fit(X, y)
    assert np.sqrt(np.mean((fitted.predict(X) - y.astype(float)) ** 2)) < 0.02 * 2**62


@pytest.mark.parametrize("value", [4.25, 0.1, 0.0, -1e30, 1e300])
def test_a_constant_target_is_predicted_as_it_is(value):
    fitted = RIDGE.fit(X, np.full(240, value))
    np.testing.assert_allclose(fitted.predict(X), value, rtol=1e-12)
    with np.errstate(over="ignore"):
        assert head(fitted).wide == (float(np.float32(value)) != value)


def sums(low, high, integer):
    return TargetSums(9, low, high, integer, 0.0, np.zeros((1, 1)), np.zeros(1), np.zeros(1), 9.0, 0.0, 9.0, 0.0, 0.0)


@pytest.mark.parametrize(
    ("low", "high", "integer", "error", "expected"),
    [
        (-1.0, 1.0, False, 0.1, False),
        (-1.0, 1.0, False, 1e-9, True),  # known to more digits than float32 has
        (1e6, 1e6 + 1, False, 0.1, True),
        (0.0, 2.0**24, True, 1e9, False),
        (0.0, 2.0**24 + 1, True, 1e9, True),
        (-(2.0**24) - 1, 0.0, True, 1e9, True),
        (-1e38, 1e38, False, 1e37, False),
        (-3e38, 1e38, False, 1e37, True),  # predictions may exceed the target a little
    ],
)
def test_when_float32_is_not_enough(low, high, integer, error, expected):
    assert needs_double(sums(low, high, integer), error) is expected


@pytest.mark.parametrize("scale", [1e-30, 1.0, 1e30])
@pytest.mark.parametrize("approximation", ["vfe", "fitc", "dtc", "sor"])
def test_variances_that_are_given_scale_with_the_target(approximation, scale):
    def fit(factor):
        noise, signal = 0.01 * factor**2, 1.0 * factor**2
        model = SparseGPRegressor(
            n_landmarks=40, gamma=0.4, noise=noise, signal=signal, approximation=approximation, random_state=0
        )
        return [values / factor for values in model.fit(X, F * factor).predict(X, return_std=True)]

    np.testing.assert_allclose(fit(scale), fit(1.0), rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"noise": 1e-300, "signal": 1e300},
            r"noise=1e-300 beside signal=1e\+300 is outside 1e-100 to 1e\+100 times it",
        ),
        ({"noise": 1e300, "signal": 1e-300}, r"noise=1e\+300 beside signal=1e-300"),
        ({"noise": 1e-300}, r"noise=1e-300 beside a variance of the target of 0\.\d+ is outside .* the target squared"),
        ({"noise": 1e-20, "signal": 1.0, "approximation": "fitc"}, r"what approximation fitc can tell from rounding"),
    ],
)
def test_variances_too_far_apart_are_refused(options, message):
    with pytest.raises(InputError, match=message):
        SparseGPRegressor(n_landmarks=40, gamma=0.4, random_state=0, **options).fit(X, F)


@pytest.mark.parametrize("model", [SparseGPRegressor, NystroemRidge], ids=["gp", "ridge"])
def test_far_from_all_landmarks_the_prior_is_what_is_left(model):
    fitted = model(n_landmarks=40, gamma=0.4, random_state=0).fit(X, 1.7e9 + F + 0.1 * NOISE)
    far = np.array([[1e6, -1e6], [1e150, 0.0]])
    np.testing.assert_allclose(fitted.predict(far), 1.7e9, atol=2)
    if model is SparseGPRegressor:
        expected = np.sqrt(fitted.signal_ + fitted.noise_)
        np.testing.assert_allclose(fitted.predict(far, return_std=True)[1], expected, rtol=1e-9)


@pytest.mark.parametrize(
    "classes",
    [
        [-1, 1],
        [np.iinfo(np.int64).min, np.iinfo(np.int64).max],
        [2**60, 2**60 + 1],
        np.array([2**63, 2**63 + 1], np.uint64),
        [False, True],
        [1.0, 2.5],
        ["a", "b"],
    ],
    ids=str,
)
def test_classes_of_any_kind_come_back_as_they_were(classes):
    """Stored in memory; 1.0 and 2.5 are labels like any other there."""
    classes = np.array(classes)
    y = classes[(F > 0).astype(int)]
    model = NystroemRidgeClassifier(n_landmarks=60, gamma=0.4, alpha=0.1, random_state=0)
    if classes.dtype.kind == "f":
        with pytest.raises(ValueError, match="Unknown label type: continuous"):
            model.fit(X, y)
        return
    found = model.fit(X, y).predict(X)
    assert found.dtype == y.dtype
    assert (found == y).mean() > 0.97


def test_a_row_without_scores_has_no_class():
    model = NystroemRidgeClassifier(n_landmarks=60, kernel="cosine", alpha=0.1, random_state=0).fit(X, F > 0)
    rows = np.vstack([X[:5], np.zeros((2, 2))])
    with pytest.raises(InputError, match=r"^X: 2 of 7 rows are zero rows, .*, the first is row 5: drop them"):
        model.predict(rows)
    lazy = da.from_array(np.vstack([X[:5], np.full((1, 2), np.nan)]), chunks=3)
    with pytest.raises(InputError, match=r"^a block of X: 1 of 3 rows hold NaN or Inf, the first is row 2"):
        model.predict(lazy).compute(scheduler="sync")
    assert np.isnan(model.decision_function(lazy).compute(scheduler="sync")).tolist() == [False] * 5 + [True]

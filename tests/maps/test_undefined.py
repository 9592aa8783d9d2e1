"""Why rows have no coordinates: each cause is reported with its count and its first row."""

import numpy as np
import pytest

from landmark_ops.errors import BadRowsError, InputError
from landmark_ops.maps.causes import WORDS, Cause
from landmark_ops.maps.landmark_map import LandmarkMap
from landmark_ops.maps.parts import RowScale
from landmark_ops.maps.tally import Found, add_tallies, describe, landmark_refusal, refusal, tally
from landmark_ops.maps.undefined import causes
from landmark_ops.numerics.kernel import Kernel
from landmark_ops.numerics.metric import Metric

Z = np.array([[1.0, 2.0, 0.5], [0.0, 1.0, 1.0], [3.0, 1.0, 2.0], [1.0, 1.5, 4.0]])
GOOD = [1.0, 0.0, 1.0]


def over(block, *, Z=Z, **options):
    """A map of two components over a block."""
    readout = np.random.default_rng(0).normal(size=(len(Z), 2))
    return LandmarkMap(Z, block, readout, np.zeros(2), None, **options)


def scaled(gamma):
    """A map that divides by a row's degree, as spectral methods do."""
    return over(Kernel("rbf", gamma), scale=RowScale(np.ones(4), -0.5, 1e-300))


def braycurtis(X, Y):
    return np.array([[np.abs(x - y).sum() / np.abs(x + y).sum() for y in Y] for x in X])


@pytest.mark.parametrize(
    ("fitted", "row", "cause"),
    [
        (over(Metric("euclidean")), [np.nan, 1, 1], Cause.NOT_FINITE),
        (over(Kernel("rbf")), [1, -np.inf, 1], Cause.NOT_FINITE),
        (over(Metric("cosine")), [0, 0, 0], Cause.ZERO),
        (over(Kernel("cosine")), [0, 0, 0], Cause.ZERO),
        (over(Metric("correlation")), [0, 0, 0], Cause.ZERO),
        (over(Metric("correlation")), [4, 4, 4], Cause.CONSTANT),
        (over(Metric("euclidean"), Z=np.vstack([Z[:3], [np.nan, 0, 0]])), [1, 1, 1], Cause.BAD_LANDMARK),
        (over(Kernel("cosine"), Z=np.vstack([Z[:3], [0, 0, 0]])), [1, 1, 1], Cause.BAD_LANDMARK),
        (over(Kernel("polynomial", degree=40.0)), [1e9, 1, 1], Cause.OVERFLOW),
        (over(Metric("sqeuclidean")), [1e200, 1, 1], Cause.OVERFLOW),
        (scaled(5.0), [40, 40, 40], Cause.VANISHED),
        (over(Kernel("chi2")), [1, 1, -1], Cause.OUTSIDE),
        (over(Metric("jensenshannon")), [1, 1, -1], Cause.OUTSIDE),
        (over(Metric("jaccard")), [1, 0, 2], Cause.OUTSIDE),
        (over(Kernel("linear"), scale=RowScale(np.ones(4), -0.5, 1e-300)), [-1, -2, -3], Cause.NEGATIVE),
        (over(Metric("braycurtis")), [-1, -2, -0.5], Cause.UNDEFINED),
        (over(Metric("callable", {}, braycurtis, True)), [-1, -2, -0.5], Cause.UNDEFINED),
        (over(Metric("nan_euclidean")), [np.nan, np.nan, np.nan], Cause.UNDEFINED),
    ],
)
def test_the_cause_of_each_row(fitted, row, cause):
    X = np.array([GOOD, row, GOOD])
    if cause != Cause.BAD_LANDMARK:
        np.testing.assert_array_equal(causes(fitted, X), [0, cause, 0])
    assert causes(fitted, X)[1] == cause


def test_what_float32_cannot_hold_is_not_called_a_zero_row():
    """Whatever maps do about it: float64 rows of the same values are placed."""
    fitted = over(Kernel("polynomial", degree=8.0))
    X = np.array([GOOD, [1e6, 1e6, 1e6]])
    assert not causes(fitted, X).any()
    assert set(causes(fitted, X.astype(np.float32))) <= {Cause.DEFINED, Cause.RANGE}


def test_coordinates_that_storage_cannot_hold_are_lacking_only_there():
    fitted = over(Kernel("polynomial", degree=8.0))
    X = np.array([GOOD, [1e6, 1e6, 1e6]])
    np.testing.assert_array_equal(causes(fitted, X, stored=True), [0, Cause.NOT_STORED])
    assert np.isfinite(fitted(X)).all()


def test_a_row_outside_the_domain_is_told_in_the_words_of_its_metric():
    text = str(refusal({Cause.OUTSIDE: Found(2, 5)}, Metric("haversine"), 9, "x.npy"))
    assert text.startswith("x.npy: 2 of 9 rows are no (latitude, longitude) in radians, metric haversine takes")
    assert ", the first is row 5: convert degrees to radians, or set" in text


def test_rows_that_no_landmark_reaches():
    lengths = np.array([[0.0, 1, 2, 3], [np.inf, np.inf, np.inf, np.inf], [1, 2, 0, 4]])
    X = np.zeros((3, 3))
    found = causes(over(Metric("euclidean")), X, lengths)
    np.testing.assert_array_equal(found, [0, Cause.UNREACHED, 0])


def test_several_causes_at_once_are_counted_apart():
    X = np.array([GOOD, [np.nan] * 3, [0.0] * 3, GOOD, [0.0] * 3, [np.inf, 0, 0]])
    fitted = over(Metric("cosine"))
    found = add_tallies([tally(causes(fitted, X[at : at + 2]), np.arange(at, at + 2)) for at in (0, 2, 4)])
    assert found == {Cause.NOT_FINITE: Found(2, 1), Cause.ZERO: Found(2, 2)}
    error = refusal(found, fitted.block, 6, "x.npy")
    assert str(error) == (
        "x.npy: 2 of 6 rows hold NaN or Inf, the first is row 1; 2 of 6 rows are zero rows, which have no direction "
        "under metric cosine, the first is row 2: clean the source; drop them, or choose another metric or kernel, or "
        "set source.bad_rows: mark to give such rows NaN coordinates"
    )


def test_nan_alone_stays_the_error_it_was():
    error = refusal({Cause.NOT_FINITE: Found(3, 57)}, Metric("euclidean"), 400, "x.npy")
    assert isinstance(error, BadRowsError)
    assert (error.count, error.first, error.n) == (3, 57, 400)


def test_nan_is_told_in_the_words_of_its_kernel():
    text = describe({Cause.NOT_A_NUMBER: Found(2, 5)}, Kernel("polynomial", degree=0.5), 9)
    assert text.startswith("2 of 9 rows give kernel polynomial with gamma 1 a negative number to raise to a fractional")


OF_THE_BLOCK = (Cause.OUTSIDE, Cause.NOT_A_NUMBER)  # in words of metric or kernel


@pytest.mark.parametrize("cause", [cause for cause in Cause if cause not in (Cause.DEFINED, *OF_THE_BLOCK)])
def test_every_cause_is_one_line_of_its_own(cause):
    assert cause in WORDS
    text = describe({cause: Found(4, 2)}, Kernel("rbf", 0.25), 10)
    assert text.startswith("4 of 10 rows ")
    assert text.endswith(", the first is row 2")
    assert sum(text == describe({other: Found(4, 2)}, Kernel("rbf", 0.25), 10) for other in WORDS) == 1


@pytest.mark.parametrize(
    ("block", "Z", "message"),
    [
        (Metric("cosine"), np.vstack([np.eye(3), np.zeros((1, 3))]), "1 landmarks are zero rows, .* is landmark 3"),
        (Kernel("rbf"), np.vstack([np.eye(3), [[np.nan] * 3]]), "1 of 4 landmarks: 1 landmarks hold NaN .* landmark 3"),
        (Kernel("polynomial", degree=200.0), np.eye(3) * 1e5, "kernel polynomial with gamma 1: undefined on 3 of 3"),
    ],
)
def test_landmarks_that_are_undefined_are_told_by_their_own_cause(block, Z, message):
    with pytest.raises(InputError, match=message):
        raise landmark_refusal(block, Z)

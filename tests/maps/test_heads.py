"""What heads read off, and that no value stands both for a row without coordinates and for one with some."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from landmark_ops.maps.heads import Classes, Clusters, Regression, head_from_state
from landmark_ops.maps.landmark_map import LandmarkMap
from landmark_ops.maps.parts import Placed
from landmark_ops.numerics.kernel import Kernel

INT64, UINT64 = np.iinfo(np.int64), np.iinfo(np.uint64)
SCORES = np.array([[0.1, 0.9], [np.nan, np.nan], [0.9, 0.1], [0.5, 0.5]])


@pytest.mark.parametrize(
    ("classes", "dtype", "nothing"),
    [
        ([0, 1], np.int64, -1),
        ([-1, 1], np.int64, INT64.min),
        ([INT64.min, -1], np.int64, INT64.min + 1),
        ([INT64.min, INT64.max], np.int64, -1),
        ([2**53, 2**53 + 1], np.int64, -1),
        ([0, 2**64 - 2], np.uint64, UINT64.max),
        ([UINT64.max - 1, UINT64.max], np.uint64, UINT64.max - 2),
    ],
)
def test_undefined_is_no_class(classes, dtype, nothing):
    head = Classes(np.array(classes, dtype))
    read = head.read(SCORES, np.full(4, np.nan))["prediction"]
    assert read.dtype == dtype
    assert read.tolist() == [classes[1], nothing, classes[0], classes[0]]
    arrays, meta = head.to_state()
    assert head_from_state("classes", arrays, meta).undefined == head.undefined == {"prediction": nothing}


@given(st.sets(st.integers(INT64.min, INT64.max) | st.integers(-3, 3) | st.just(INT64.min), min_size=2, max_size=9))
def test_undefined_is_no_class_whatever_the_classes(classes):
    head = Classes(np.array(sorted(classes), np.int64))
    assert head.undefined["prediction"] not in classes
    assert INT64.min <= head.undefined["prediction"] <= INT64.max


def test_labels_of_clusters_count_from_zero():
    read = Clusters(np.array([[0.0], [1.0]])).read(np.array([[0.9], [np.nan], [0.1]]), np.zeros(3))
    assert read["labels"].tolist() == [1, -1, 0]


def test_values_are_float64_whatever_the_coordinates_are():
    head = Regression(1.7e9, 2.0, 0.25, wide=True)
    read = head.read(np.array([[0.5], [np.nan]], np.float32), np.array([-1e-16, np.nan], np.float32))
    np.testing.assert_array_equal(read["prediction"], [1.7e9 + 1, np.nan])
    np.testing.assert_array_equal(read["std"], [1.0, np.nan])  # a variance below 0 is rounding
    assert head.arrays == {"prediction": "float64", "std": "float64"}
    arrays, meta = head.to_state()
    assert head_from_state("regression", arrays, meta).wide
    assert not head_from_state("regression", {}, {"center": 0.0, "scale": 1.0, "noise": None}).wide  # as stored before


def test_what_float32_cannot_hold_takes_the_whole_row():
    """Not a prediction of Inf, and not a NaN beside coordinates that are there."""
    fitted = LandmarkMap(
        np.ones((1, 1)), Kernel("linear"), np.ones((1, 1)), np.zeros(1), None, head=Regression(0.0, 1e30, 0.1)
    )
    stored = fitted.stored(Placed(np.array([[1.0], [1e9], [2.0]]), np.zeros(3)))
    np.testing.assert_array_equal(np.isnan(stored.embedding[:, 0]), [False, True, False])
    for values in (stored.residual, *stored.outputs.values()):
        np.testing.assert_array_equal(np.isfinite(values), [True, False, True])

"""Values computed once per map are cached beside it, as long as it lives, and never in its pickle."""

from __future__ import annotations

import gc
import pickle
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from weakref import ref

import numpy as np
import pytest

from landmark_ops.maps import prepared as kept
from landmark_ops.maps.evaluation import TILE_ROWS
from landmark_ops.maps.prepared import prepared
from landmark_ops.methods.landmark_mds import LandmarkMDSMethod
from landmark_ops.methods.nystroem import NystroemMethod
from landmark_ops.numerics.kernel import KernelChoice

F64 = np.dtype(np.float64)
METHODS = [
    LandmarkMDSMethod(2),
    LandmarkMDSMethod(2, "cityblock"),
    NystroemMethod(3),
    NystroemMethod(3, KernelChoice("polynomial")),
]


@pytest.mark.parametrize("method", METHODS, ids=["folded", "metric", "rbf", "polynomial"])
def test_evaluators_are_made_once_however_many_blocks_and_threads_there_are(method, rng):
    Z, X = rng.random((30, 4)), rng.random((3 * TILE_ROWS + 1, 4))
    fitted = method.start(Z, F64).map
    fitted(X[:2])
    made = dict(kept._KEPT[fitted])
    assert made
    with ThreadPoolExecutor(4) as pool:
        outs = list(pool.map(fitted, [X] * 8))
    assert all(np.array_equal(out, outs[0]) for out in outs)
    assert kept._KEPT[fitted] == made  # the very same evaluators
    assert pickle.loads(pickle.dumps(fitted)) not in kept._KEPT
    assert replace(fitted, double=True) not in kept._KEPT


@pytest.mark.parametrize("method", METHODS, ids=["folded", "metric", "rbf", "polynomial"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_what_is_kept_goes_with_its_map(method, dtype, rng):
    fitted = method.start(rng.random((30, 4)).astype(dtype), F64).map
    fitted.stored(fitted.place(rng.random((5, 4)).astype(dtype)))
    assert kept._KEPT[fitted]
    gone = ref(fitted)
    del fitted
    gc.collect()
    assert gone() is None  # nothing that is kept holds on to the map
    assert gone not in kept._KEPT.keyrefs()


def test_threads_that_ask_at_once_get_one_thing():
    fitted = LandmarkMDSMethod(2).start(np.eye(5), F64).map

    def make(_):
        return object()

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: prepared(fitted, make), range(100)))
    assert len(set(map(id, found))) == 1

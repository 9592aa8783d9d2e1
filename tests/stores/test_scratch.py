"""Arrays and matrices put down between stages: read back as written, by one writer per chunk, locally and on S3."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from landmark_ops.errors import InputError, RunError
from landmark_ops.stores import scratch as module
from landmark_ops.stores.locations import remove
from landmark_ops.stores.scratch import Scratch


@pytest.fixture(params=["local", "memory"])
def place(request, tmp_path):
    scratch = Scratch(str(tmp_path / "deep" / "scratch") if request.param == "local" else "memory://scratch")
    yield scratch
    remove(scratch.uri)


def test_arrays_come_back(place, rng):
    values = rng.standard_normal((7, 3))
    place.put_array("data", values)
    again = pickle.loads(pickle.dumps(place)).get_array("data")
    np.testing.assert_array_equal(again, values)
    again[0] = 0  # ours alone
    np.testing.assert_array_equal(place.get_array("data"), values)
    place.remove("data.npy")
    with pytest.raises(RunError, match=r"data\.npy: cannot be read on this worker .*shared file system or s3://"):
        place.get_array("data")


def test_a_matrix_is_written_by_columns_and_read_by_rows(place, rng, monkeypatch):
    monkeypatch.setattr(module, "ROW_CHUNK", 10)
    values = rng.random((25, 20)).astype(np.float32)
    values[3:12] = np.nan
    place.create_matrix("lengths", 25, 20)
    place.write_columns("lengths", 16, values[:, 16:])
    with pytest.raises((RunError, InputError), match="lengths"):  # half of it is not there
        place.open_matrix("lengths").read(0, 25)
    place.write_columns("lengths", 0, values[:, :16])
    rows = place.open_matrix("lengths")
    assert (rows.shape, rows.chunk_rows) == ((25, 20), 10)
    np.testing.assert_array_equal(rows.read(0, 25), values)
    np.testing.assert_array_equal(rows.read(7, 19), values[7:19])


def test_columns_that_share_a_chunk_are_refused(place):
    place.create_matrix("lengths", 5, 40)
    for start, width in ((8, 8), (0, 8), (16, 20)):
        with pytest.raises(ValueError, match="share chunks of 16 columns with another writer"):
            place.write_columns("lengths", start, np.zeros((5, width), np.float32))


def test_a_matrix_replaces_the_one_before(place):
    for count in (3, 2):
        place.create_matrix("lengths", 4, count)
        place.write_columns("lengths", 0, np.full((4, count), count, np.float32))
    assert place.open_matrix("lengths").read(0, 4).tolist() == [[2, 2]] * 4

"""Which landmarks are read again, and what their rows tell."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from landmark_ops.errors import DamagedError
from landmark_ops.stores.embeddings import landmark_rows
from landmark_ops.stores.embeddings.landmark_rows import CHUNKS, READ_BYTES, ROWS, drawn, find_replaced
from landmark_ops.stores.embeddings.zarr.store import ZarrStore
from landmark_ops.stores.locations import remove
from landmark_ops.stores.sources.rows import ArrayRows


@given(
    st.lists(st.integers(-1, 10_000), max_size=300, unique_by=lambda at: at if at >= 0 else object()),
    st.sampled_from([1, 7, 100, 20_000]),
    st.sampled_from([4, 4096, 1 << 20]),
)
def test_bounds(indices, chunk_rows, row_bytes):
    at = drawn(np.asarray(indices, np.int64), chunk_rows, row_bytes)
    rows = np.asarray(indices, np.int64)[at]
    chunks = len(set(rows // chunk_rows))
    assert len(at) == len(set(at.tolist())) <= ROWS
    assert (rows >= 0).all()
    assert (np.diff(rows) > 0).all()
    assert chunks <= (ROWS if chunk_rows == 1 else CHUNKS)
    assert chunks <= 1 or chunks * chunk_rows * row_bytes <= READ_BYTES
    assert (len(at) > 0) == any(index >= 0 for index in indices)


def test_spread_over_the_source():
    at = drawn(np.arange(0, 10_000, 10), 100, 4)
    assert len(at) == ROWS
    assert {0, 9990} <= set((at * 10).tolist())


def test_what_is_found(tmp_path, monkeypatch):
    X = np.arange(60, dtype=np.float32).reshape(20, 3)
    store = ZarrStore(str(tmp_path / "out.zarr"))
    store.create({})
    assert find_replaced(store, ArrayRows(X)) is None  # not chosen yet
    store.put("landmarks", {"indices": np.array([5, -1, 2]), "points": X[[5, 0, 2]] + [[0], [9], [0]]}, {})
    assert find_replaced(store, ArrayRows(X)) is None
    X[5, 1] += 1
    assert find_replaced(store, ArrayRows(X)) == 5
    monkeypatch.setattr(landmark_rows, "is_remote", lambda uri: True)
    assert find_replaced(store, ArrayRows(X)) is None
    monkeypatch.undo()
    for name in ("points", "indices"):
        remove(str(tmp_path / f"out.zarr/landmarks/{name}/c"))
    with pytest.raises(DamagedError, match="is missing"):
        find_replaced(store, ArrayRows(X))

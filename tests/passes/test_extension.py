"""One chunk at a time: read, placed, written, described; and what later stages read back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from landmark_ops.engine.threads import LocalEngine
from landmark_ops.errors import InputError
from landmark_ops.methods.landmark_mds import LandmarkMDSMethod
from landmark_ops.passes.bad_rows import count_bad_block, count_bad_rows
from landmark_ops.passes.extension import (
    Destination,
    extend_block,
    gather_block,
    reread_block,
)
from landmark_ops.passes.histograms import histogram_block
from landmark_ops.passes.ranges import ranges
from landmark_ops.passes.stored_map import load_map, open_map
from landmark_ops.passes.sums import add_arrays
from landmark_ops.stores.embeddings.contents import describe
from landmark_ops.stores.embeddings.zarr.store import ZarrStore
from tests.rows import ChunkedRows

N, STEP = 100, 30
BAD = [7, 65, 66]
NONE = np.array([], np.int64)


@pytest.fixture
def X(rng):
    X = rng.normal(size=(N, 4)).astype(np.float32)
    X[BAD, 2] = np.nan
    return X


@pytest.fixture
def placed(tmp_path, rng):
    """An allocated output, its store, map and the map's hash."""
    fitted = LandmarkMDSMethod(3).start(rng.normal(size=(20, 4)), np.dtype(np.float32)).map
    store = ZarrStore(str(tmp_path / "out.zarr"))
    store.create({})
    sha256 = store.put_map(*fitted.to_state())
    store.allocate(N, 3, STEP)
    return store, fitted, sha256


def test_every_row_is_placed_and_written(placed, X):
    store, fitted, sha256 = placed
    rows, sample = ChunkedRows(X, STEP), np.array([0, 29, 30, 31, 65, 99])
    parts = {item: extend_block(item, rows, (Destination(store, sha256),), sample) for item in ranges(N, STEP)}
    embedding, residual = store.read(0, N)
    expected = fitted.place(X)
    np.testing.assert_array_equal(embedding, expected.embedding)
    np.testing.assert_array_equal(residual, expected.residual)
    assert np.flatnonzero(np.isnan(embedding).any(axis=1)).tolist() == BAD
    assert [part.written[0].bad_rows for part in parts.values()] == [1, 0, 2, 0]
    assert [part.written[0].first_bad for part in parts.values()] == [7, -1, 65, -1]
    good = np.delete(embedding, BAD, axis=0)
    np.testing.assert_array_equal(np.min([part.written[0].low for part in parts.values()], axis=0), good.min(axis=0))
    np.testing.assert_array_equal(np.max([part.written[0].high for part in parts.values()], axis=0), good.max(axis=0))


def test_sampled_rows_come_back(placed, X):
    store, fitted, sha256 = placed
    rows, sample = ChunkedRows(X, STEP), np.array([0, 29, 30, 31, 65, 99])
    parts = [extend_block(item, rows, (Destination(store, sha256),), sample) for item in ranges(N, STEP)]
    assert [len(part.rows) for part in parts] == [2, 2, 1, 1]
    np.testing.assert_array_equal(np.concatenate([part.rows for part in parts]), X[sample])
    expected = fitted.place(X)
    gathered = [gather_block(item, store, sample) for item in ranges(N, STEP)]
    np.testing.assert_array_equal(np.concatenate([part.embedding for part in gathered]), expected.embedding[sample])
    np.testing.assert_array_equal(np.concatenate([part.residual for part in gathered]), expected.residual[sample])


def test_a_chunk_without_sampled_rows_hands_back_none(placed, X):
    store, _, sha256 = placed
    part = extend_block((30, 60), ChunkedRows(X, STEP), (Destination(store, sha256),), np.array([0, 99]))
    assert part.rows.shape == (0, 4)
    gathered = gather_block((30, 60), store, np.array([0, 99]))
    assert [array.shape for array in gathered] == [(0, 3), (0,)]


def test_hashes_match_what_lies_in_storage(placed, X):
    store, _, sha256 = placed
    for item in ranges(N, STEP):
        written = extend_block(
            item, ChunkedRows(X, STEP), (Destination(store, sha256),), np.array([], np.int64)
        ).written[0]
        found = reread_block(item, store)
        assert found is not None
        for name, ours, theirs in zip(written._fields, written, found, strict=True):
            np.testing.assert_array_equal(ours, theirs, err_msg=name)


def test_other_content_has_another_hash(rng):
    embedding, residual = rng.random((4, 2), np.float32), rng.random(4, np.float32)
    known = describe(0, embedding, residual).sha256
    for i in range(4):
        other = embedding.copy()
        other[i, 1] = np.nextafter(other[i, 1], 2)
        assert describe(0, other, residual).sha256 != known
        other = residual.copy()
        other[i] = np.nextafter(other[i], 2)
        assert describe(0, embedding, other).sha256 != known
    assert describe(0, embedding[::-1], residual).sha256 != known
    assert describe(0, np.asfortranarray(embedding), residual).sha256 == known


@pytest.mark.parametrize("array", ["embedding/c/1/0", "residual/c/1"])
def test_a_flipped_byte_is_found(placed, X, array):
    store, _, sha256 = placed
    for item in ranges(N, STEP):
        extend_block(item, ChunkedRows(X, STEP), (Destination(store, sha256),), NONE)
    path = Path(store.uri, array)
    content = bytearray(path.read_bytes())
    content[5] ^= 1
    path.write_bytes(content)
    assert [reread_block(item, store) is None for item in ranges(N, STEP)] == [False, True, False, False]
    path.write_bytes(content[:9])
    assert reread_block((30, 60), store) is None


def test_a_missing_chunk_has_another_hash(placed, X):
    """It reads as NaN, which is no coordinate of a good row."""
    store, _, sha256 = placed
    written = extend_block((30, 60), ChunkedRows(X, STEP), (Destination(store, sha256),), NONE).written[0]
    Path(store.uri, "embedding/c/1/0").unlink()
    found = reread_block((30, 60), store)
    assert found is None or found.sha256 != written.sha256


def test_a_chunk_of_bad_rows_has_no_extent(placed):
    store, _, sha256 = placed
    rows = ChunkedRows(np.full((N, 4), np.nan), STEP)
    written = extend_block((90, 100), rows, (Destination(store, sha256),), NONE).written[0]
    assert (written.bad_rows, written.first_bad) == (10, 90)
    assert np.isnan(written.low).all()
    assert np.isnan(written.high).all()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_bad_rows_are_counted(rng, value):
    X = rng.normal(size=(50, 3))
    X[[11, 12, 40], [0, 1, 2]] = value
    rows = ChunkedRows(X, 10)
    assert [count_bad_block(item, rows) for item in ranges(50, 10)] == [(0, -1), (2, 11), (0, -1), (0, -1), (1, 40)]
    assert count_bad_rows(rows, LocalEngine(2), ranges(50, 10)) == (3, 11)
    assert count_bad_rows(rows, LocalEngine(2), ranges(10, 10)) == (0, -1)


def test_integers_are_never_bad():
    assert count_bad_block((0, 5), ChunkedRows(np.zeros((5, 2), np.uint8), 5)) == (0, -1)


PAIRS = ((0, 1), (2, 0))


def histograms(embedding: np.ndarray, uri: str, bins: int) -> np.ndarray:
    store = ZarrStore(uri)
    store.create({})
    store.allocate(*embedding.shape, 30)
    for start, stop in ranges(len(embedding), 30):
        store.write(start, embedding[start:stop], np.zeros(stop - start, np.float32))
    low, high = np.nanmin(embedding, axis=0).astype(float), np.nanmax(embedding, axis=0).astype(float)
    items = ranges(len(embedding), 30)
    return LocalEngine(2).reduce(histogram_block, add_arrays, items, store, PAIRS, low, high, bins)


def test_histograms_count_as_numpy_does(tmp_path, rng):
    embedding = rng.normal(size=(100, 3)).astype(np.float32)
    found = histograms(embedding, str(tmp_path / "h.zarr"), 8)
    for (x, y), counts in zip(PAIRS, found, strict=True):
        extent = [(embedding[:, axis].min(), embedding[:, axis].max()) for axis in (y, x)]
        expected, _, _ = np.histogram2d(embedding[:, y], embedding[:, x], bins=8, range=extent)
        np.testing.assert_array_equal(counts, expected)


@given(scale=st.floats(-30, 30), shift=st.floats(-1e3, 1e3), bad=st.sets(st.integers(0, 99), max_size=98))
@settings(max_examples=15, deadline=None)
def test_histograms_count_every_good_row_once(tmp_path_factory, scale, shift, bad):
    """The extremes lie on the outer edges, and are counted."""
    embedding = (np.random.default_rng(0).normal(size=(100, 3)) * 10**scale + shift).astype(np.float32)
    embedding[sorted(bad)] = np.nan
    found = histograms(embedding, str(tmp_path_factory.mktemp("h") / "h.zarr"), 5)
    assert found.shape == (2, 5, 5)
    assert found.sum(axis=(1, 2)).tolist() == [100 - len(bad)] * 2
    assert found.min() >= 0


def test_histograms_of_a_constant_component(tmp_path, rng):
    embedding = rng.normal(size=(60, 3)).astype(np.float32)
    embedding[:, 0] = 2.5
    found = histograms(embedding, str(tmp_path / "h.zarr"), 4)
    assert found[0][:, 0].sum() == 60
    assert found[1][0].sum() == 60


def test_the_map_is_read_once_per_process(placed, monkeypatch):
    store, fitted, sha256 = placed
    load_map.cache_clear()
    first = load_map(store, sha256)
    monkeypatch.setattr(ZarrStore, "get_map", lambda *_: pytest.fail("read again"))
    assert load_map(store, sha256) is first
    np.testing.assert_array_equal(first.readout, fitted.readout)


def test_only_complete_embeddings_give_their_map(placed, X, tmp_path):
    store, fitted, sha256 = placed
    with pytest.raises(InputError, match="no complete embedding to take a map from: its status is partial"):
        open_map(store.uri)
    with pytest.raises(InputError, match="no complete embedding to take a map from: nothing is there"):
        open_map(str(tmp_path / "nothing"))
    store.update(status="complete", map_sha256=sha256)
    np.testing.assert_array_equal(open_map(store.uri)(X), fitted(X))

"""The table of committed chunks: its content, damage it ignores, and the order of writing."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from landmark_ops.stores.embeddings import records as module
from landmark_ops.stores.embeddings.contents import Written
from landmark_ops.stores.embeddings.records import ChunkRecords
from landmark_ops.stores.embeddings.zarr.store import ZarrStore

N, K, STEP = 10, 2, 4
COLUMNS = {"sha256", "bad_rows", "first_bad", "low", "high", "committed"}


@pytest.fixture
def store(tmp_path):
    store = ZarrStore(str(tmp_path / "out.zarr"))
    store.create({})
    store.allocate(N, K, STEP)
    return store


def commit(store: ZarrStore, records: ChunkRecords, start: int, bad: int = 0) -> Written:
    """Write a chunk of ones, with its first rows bad, and set its record."""
    stop = min(start + STEP, N)
    embedding, residual = np.ones((stop - start, K), np.float32), np.ones(stop - start, np.float32)
    embedding[:bad] = residual[:bad] = np.nan
    written = store.write(start, embedding, residual)
    records.set(start, written)
    return written


def same(ours: ChunkRecords, theirs: ChunkRecords) -> None:
    for name in COLUMNS:
        np.testing.assert_array_equal(getattr(ours, name), getattr(theirs, name), err_msg=name)


def test_items_of_an_empty_table(store):
    records = ChunkRecords(store, N, K, STEP)
    assert records.items(committed=False) == [(0, 4), (4, 8), (8, 10)]
    assert records.items(committed=True) == []


def test_records_survive(store):
    records = ChunkRecords(store, N, K, STEP)
    written = commit(store, records, 8, bad=1)
    records.flush()
    found = ChunkRecords.load(store, N, K, STEP)
    same(found, records)
    assert found.items(committed=True) == [(8, 10)]
    assert found.items(committed=False) == [(0, 4), (4, 8)]
    assert (found.bad_rows[2], found.first_bad[2]) == (1, 8)
    assert found.matches(8, written)
    assert not found.matches(8, written._replace(sha256=bytes(32)))
    commit(store, found, 0)  # a loaded table goes on
    found.flush()
    same(ChunkRecords.load(store, N, K, STEP), found)


def test_a_second_flush_replaces_the_first(store):
    records = ChunkRecords(store, N, K, STEP)
    for start in (0, 4, 8):
        commit(store, records, start)
        records.flush()
        same(ChunkRecords.load(store, N, K, STEP), records)
    records.drop(4)
    records.flush()
    assert ChunkRecords.load(store, N, K, STEP).items(committed=False) == [(4, 8)]


def test_records_are_written_now_and_then(store, monkeypatch):
    records = ChunkRecords(store, N, K, STEP)
    records.add(0, commit(store, records, 0))
    assert ChunkRecords.load(store, N, K, STEP).items(committed=True) == []
    monkeypatch.setattr(module, "FLUSH_SECONDS", 0.0)
    records.add(4, commit(store, records, 4))
    assert ChunkRecords.load(store, N, K, STEP).items(committed=True) == [(0, 4), (4, 8)]


@pytest.mark.parametrize(("n", "k", "step"), [(N + 3, K, STEP), (N, K + 1, STEP), (N, K, 2)])
def test_a_table_of_another_shape_is_ignored(store, n, k, step):
    records = ChunkRecords(store, N, K, STEP)
    for start in (0, 4, 8):
        commit(store, records, start)
    records.flush()
    assert ChunkRecords.load(store, n, k, step).items(committed=True) == []


@pytest.mark.parametrize("column", sorted(COLUMNS))
def test_part_of_a_table_is_ignored(store, column):
    """The state a crash leaves within the first flush."""
    records = ChunkRecords(store, N, K, STEP)
    commit(store, records, 0)
    records.flush()
    os.rename(Path(store.uri, "chunks", column), Path(store.uri, "elsewhere"))
    assert ChunkRecords.load(store, N, K, STEP).items(committed=True) == []


@pytest.mark.parametrize("column", sorted(COLUMNS))
def test_a_damaged_table_is_ignored(store, column):
    records = ChunkRecords(store, N, K, STEP)
    commit(store, records, 0, bad=1)
    records.flush()
    (chunk,) = (path for path in Path(store.uri, "chunks", column, "c").rglob("*") if path.is_file())
    content = bytearray(chunk.read_bytes())
    content[0] ^= 1
    chunk.write_bytes(content)
    assert ChunkRecords.load(store, N, K, STEP).items(committed=True) == []


@pytest.mark.parametrize("first", [True, False])
def test_marks_are_written_last(store, monkeypatch, first):
    """A crash at any write of a flush leaves no mark without its hash."""
    import zarr.storage._local as local

    put, earlier = local._put, None
    for crash_at in range(100):
        records = ChunkRecords(store, N, K, STEP)
        if not first:
            earlier = commit(store, records, 0)
            records.flush()
        left = [crash_at]

        def crashing(*args, left=left, **kwargs):
            left[0] -= 1
            if left[0] < 0:
                raise OSError("crash")
            return put(*args, **kwargs)

        written = commit(store, records, 4, bad=1)
        monkeypatch.setattr(local, "_put", crashing)
        try:
            records.flush()
            break
        except OSError:
            pass
        finally:
            monkeypatch.setattr(local, "_put", put)
        found = ChunkRecords.load(store, N, K, STEP)
        if found.committed[1]:
            assert found.matches(4, written)
        if earlier is not None:
            assert found.items(committed=True)[:1] == [(0, 4)]
            assert found.matches(0, earlier)
        store.create({})
        store.allocate(N, K, STEP)
    assert crash_at >= len(COLUMNS)
    assert ChunkRecords.load(store, N, K, STEP).committed[1]

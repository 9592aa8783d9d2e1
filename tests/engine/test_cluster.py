"""The engine on Dask clusters: the results of threads, and the same results when workers are killed."""

from __future__ import annotations

import pickle
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from distributed import Client, LocalCluster

from landmark_ops.engine.cluster import ClusterEngine
from landmark_ops.engine.fold import FAN_IN
from landmark_ops.engine.protocol import TASKS_PER_WORKER
from landmark_ops.engine.threads import LocalEngine
from landmark_ops.errors import BadRowsError, InputError
from landmark_ops.maps.moments import moments
from landmark_ops.methods.landmark_mds import LandmarkMDSMethod
from landmark_ops.passes.ranges import ranges
from landmark_ops.passes.sums import sum_over
from tests import block_functions as fns
from tests.engine.clusters import (
    ITEMS,
    TEXT,
    engine,  # noqa: F401  a fixture
    processes,  # noqa: F401  a fixture
    scheduler_of,
    settle,
    threads,  # noqa: F401  a fixture
    within,
)
from tests.rows import ChunkedRows


def test_imap_yields_each_item_once(engine):  # noqa: F811
    found = within(lambda: list(engine.imap(fns.text, ITEMS, "a", "b")))
    assert sorted(found) == [(item, f"{item[0]}ab,") for item in ITEMS]
    settle(engine)


def test_reduce_keeps_the_order(engine):  # noqa: F811
    assert within(lambda: engine.reduce(fns.text, fns.concatenate, ITEMS)) == TEXT
    settle(engine)


def test_items_are_anything(engine):  # noqa: F811
    """Shards, files, lists: each task is sent its own, and unhashable or equal ones are told apart."""
    items = ["a.tar", Path("b"), {"id": 3}, [1, 2], None, ("c", 4), "a.tar", [1, 2]]
    seen: list[Any] = []
    found = within(lambda: list(engine.imap(fns.say, items, "!", done=seen.append)))
    assert sorted(result for _, result in found) == sorted(f"{item}!" for item in items)
    assert all(result == f"{item}!" for item, result in found)
    assert sorted(map(str, seen)) == sorted(map(str, items))
    seen.clear()
    assert within(lambda: engine.reduce(fns.say, fns.concatenate, items, done=seen.append)) == "".join(map(str, items))
    assert sorted(map(str, seen)) == sorted(map(str, items))
    settle(engine)


def test_a_task_is_sent_its_own_item_only(threads, monkeypatch):  # noqa: F811
    """No task is sent the other items' bytes."""
    sent: list[int] = []
    plain = threads.client.map

    def record(fn, *arguments, **options):
        sent.extend(len(pickle.dumps(one)) for one in arguments[1])
        return plain(fn, *arguments, **options)

    monkeypatch.setattr(threads.client, "map", record)
    items = [f"{at}" * 500 for at in range(40)]
    assert len(within(lambda: list(threads.imap(fns.say, items)))) == 40
    assert len(sent) == 40
    assert max(sent) < 1200


def test_nothing_to_do(engine):  # noqa: F811
    assert within(lambda: list(engine.imap(fns.text, []))) == []
    with pytest.raises(ValueError, match="nothing to fold"):
        within(lambda: engine.reduce(fns.text, fns.concatenate, []))


def test_sums_have_the_bits_of_threads(engine):  # noqa: F811
    X = np.random.default_rng(0).normal(size=(977, 7)) * 10.0 ** np.arange(-3, 4)
    items = ranges(977, 13)
    expected = LocalEngine(3).reduce(fns.uneven_rows, fns.add, items, X)
    found = within(lambda: engine.reduce(fns.uneven_rows, fns.add, items, X))
    assert found.tobytes() == expected.tobytes()
    parts = dict(within(lambda: list(engine.imap(fns.uneven_rows, items, X))))
    assert all(part.tobytes() == X[start:stop].sum(axis=0).tobytes() for (start, stop), part in parts.items())


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_moments_have_the_bits_of_threads(engine, dtype):  # noqa: F811
    X = np.random.default_rng(0).normal(size=(2000, 6)).astype(dtype)
    rows = ChunkedRows(X, 100)
    features = LandmarkMDSMethod(3, "cityblock").start(X[:40], np.dtype(dtype)).map
    items = ranges(2000, 100)
    expected = sum_over(rows, [moments(features)], LocalEngine(2), items).values[0]
    found = within(lambda: sum_over(rows, [moments(features)], engine, items).values[0])
    assert found.rows == expected.rows == 2000
    assert found.total.tobytes() == expected.total.tobytes()
    assert found.second.tobytes() == expected.second.tobytes()


@pytest.mark.parametrize("count", [1, 60])
def test_done_is_called_once_per_item(engine, count):  # noqa: F811
    seen: list[tuple[int, int]] = []
    within(lambda: list(engine.imap(fns.text, ITEMS[:count], done=seen.append)))
    assert sorted(seen) == ITEMS[:count]
    seen.clear()
    within(lambda: engine.reduce(fns.text, fns.concatenate, ITEMS[:count], done=seen.append))
    assert sorted(seen) == ITEMS[:count]


def test_imap_keeps_a_window(threads):  # noqa: F811
    """However many items there are, the scheduler knows a few."""
    window = threads.workers * TASKS_PER_WORKER
    items = [(i, i + 1) for i in range(300)]
    most = 0
    for _ in threads.imap(fns.text, items):
        time.sleep(0.001)
        most = max(most, len(scheduler_of(threads).tasks))
    assert most <= 4 * window  # what finished together is replaced at once; on a busy machine the old ones linger
    settle(threads)


def test_a_slow_consumer_is_not_overrun(threads):  # noqa: F811
    window = threads.workers * TASKS_PER_WORKER
    seen: list[int] = []

    def fn(item):
        seen.append(item[0])

    for taken, _ in enumerate(threads.imap(fn, ranges(200, 1)), 1):
        time.sleep(0.002)
        assert len(seen) <= taken + 2 * window  # what finished together is replaced before it is handed out


def test_reduce_keeps_a_window(threads, monkeypatch):  # noqa: F811
    """The scheduler remembers what sums are made of: without groups, these 500 items would be 570 tasks at the end."""
    monkeypatch.setattr("landmark_ops.engine.grouped_fold.GROUP", FAN_IN)
    counts = []

    def watch(item):
        counts.append(len(scheduler_of(threads).tasks))

    within(lambda: threads.reduce(fns.text, fns.concatenate, ranges(500, 1), done=watch))
    assert max(counts) <= 200
    settle(threads)


@pytest.mark.parametrize("count", [1, 7, 8, 9, 64, 65, 130])
def test_reduce_folds_along_the_tree_of_threads(threads, monkeypatch, count):  # noqa: F811
    """Where the tree is cut into groups makes no difference, not even of rounding."""
    expected = LocalEngine(2).reduce(fns.text, fns.bracket, ranges(count, 1))
    assert within(lambda: threads.reduce(fns.text, fns.bracket, ranges(count, 1))) == expected
    monkeypatch.setattr("landmark_ops.engine.grouped_fold.GROUP", FAN_IN)
    assert within(lambda: threads.reduce(fns.text, fns.bracket, ranges(count, 1))) == expected


@pytest.mark.parametrize("call", ["imap", "reduce"])
def test_errors_keep_their_type_and_attributes(engine, call):  # noqa: F811
    def run(fn: Any, bad: int) -> Any:
        if call == "imap":
            return within(lambda: list(engine.imap(fn, ITEMS, bad)))
        return within(lambda: engine.reduce(fn, fns.concatenate, ITEMS, bad))

    with pytest.raises(
        BadRowsError, match=r"data/x.zarr: 3 of 1000 rows hold NaN or Inf, the first is row 30"
    ) as found:
        run(fns.refuse_rows, 30)
    assert (found.value.count, found.value.first, found.value.n, found.value.where) == (3, 30, 1000, "data/x.zarr")
    del found
    with pytest.raises(InputError, match=r"^chunk c/1/0 is missing$"):
        run(fns.refuse_input, 59)
    settle(engine)
    assert within(lambda: engine.reduce(fns.text, fns.concatenate, ITEMS)) == TEXT


def test_an_error_ends_the_rest(threads):  # noqa: F811
    started: list[int] = []

    def fn(item):
        started.append(item[0])
        if item[0] == 5:
            raise InputError("no")

    with pytest.raises(InputError, match="no"):
        list(threads.imap(fn, ITEMS))
    settle(threads)
    assert len(started) <= 6 + threads.workers * TASKS_PER_WORKER


def test_a_consumer_that_stops_ends_the_rest(engine):  # noqa: F811
    stream = engine.imap(fns.slow_text, ITEMS, 0.01)
    within(lambda: next(stream))
    within(stream.close)
    settle(engine)


def test_workers_and_their_memory():
    with (
        LocalCluster(
            1, threads_per_worker=2, processes=False, dashboard_address="127.0.0.1:0", memory_limit="2GiB"
        ) as local,
        Client(local, set_as_default=False) as client,
    ):
        assert ClusterEngine(client).workers == 2
        assert ClusterEngine(client).task_memory == 1 << 30
    with (
        LocalCluster(1, processes=False, dashboard_address="127.0.0.1:0", memory_limit=0) as local,
        Client(local, set_as_default=False) as client,
    ):
        assert ClusterEngine(client).task_memory is None

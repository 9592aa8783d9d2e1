"""The engine on Dask clusters: the results of threads, and the same results when workers are killed."""

from __future__ import annotations

import gc
import os
import pickle
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import dask
import numpy as np
import pytest
from distributed import Client, LocalCluster

from landmark_ops.engine.cluster import ClusterEngine
from landmark_ops.engine.fold import FAN_IN
from landmark_ops.engine.protocol import TASKS_PER_WORKER
from landmark_ops.engine.threads import LocalEngine
from landmark_ops.errors import BadRowsError, InputError, RunError
from landmark_ops.maps.moments import moments
from landmark_ops.methods.landmark_mds import LandmarkMDSMethod
from landmark_ops.passes.ranges import ranges
from landmark_ops.passes.sums import sum_over
from tests import block_functions as fns
from tests.rows import ChunkedRows

T = TypeVar("T")

ITEMS = ranges(60, 1)
TEXT = "".join(f"{i}," for i in range(60))
# As flows.base.workers sets it: by default a worker that is down 15 s after an earlier death is never started again.
NANNIES_STAY = {"distributed.deploy.lost-worker-timeout": "365 days"}
PATIENCE = 60.0  # seconds until a test counts as hanging: killed workers are back after two


def within(call: Callable[[], T], seconds: float = PATIENCE) -> T:
    """The result or error of `call`; a failure, not a hanging test, where neither comes in time."""
    outcome: list[Any] = []

    def run() -> None:
        try:
            outcome.extend((True, call()))
        except BaseException as error:
            outcome.extend((False, error))

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    if not outcome:
        pytest.fail(f"hangs: nothing came within {seconds} s")
    if not outcome[0]:
        raise outcome[1]
    return outcome[1]


def start(**options: Any) -> LocalCluster:
    return LocalCluster(threads_per_worker=1, dashboard_address="127.0.0.1:0", silence_logs=50, **options)


@pytest.fixture(scope="module")
def threads() -> Iterator[ClusterEngine]:
    """Two workers in this process."""
    with start(n_workers=2, processes=False) as local, Client(local, set_as_default=False) as client:
        yield ClusterEngine(client)


@pytest.fixture(scope="module")
def processes() -> Iterator[ClusterEngine]:
    """Two workers in processes that their nannies start again; a task that killed two workers is given up."""
    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 1, **NANNIES_STAY}),
        start(n_workers=2) as local,
        Client(local, set_as_default=False) as client,
    ):
        yield ClusterEngine(client)


@pytest.fixture(scope="module")
def lone() -> Iterator[ClusterEngine]:
    """One worker process: what it holds is lost when it dies."""
    with (
        dask.config.set(NANNIES_STAY),
        start(n_workers=1) as local,
        Client(local, set_as_default=False) as client,
    ):
        yield ClusterEngine(client)


@pytest.fixture(params=["threads", "processes"])
def engine(request: pytest.FixtureRequest) -> ClusterEngine:
    """A whole cluster: both workers up, however the test before ended."""
    found = request.getfixturevalue(request.param)
    found.client.wait_for_workers(2, timeout=PATIENCE)
    return found


def scheduler_of(engine: ClusterEngine) -> Any:
    return engine.client.cluster.scheduler


def settle(engine: ClusterEngine) -> None:
    """Wait until the scheduler has forgotten all tasks and data."""
    gc.collect()  # a caught error holds the futures of the frames it went through
    deadline = time.monotonic() + 20
    while scheduler_of(engine).tasks:
        assert time.monotonic() < deadline, f"left on the cluster: {list(scheduler_of(engine).tasks)}"
        time.sleep(0.01)


def test_imap_yields_each_item_once(engine):
    found = within(lambda: list(engine.imap(fns.text, ITEMS, "a", "b")))
    assert sorted(found) == [(item, f"{item[0]}ab,") for item in ITEMS]
    settle(engine)


def test_reduce_keeps_the_order(engine):
    assert within(lambda: engine.reduce(fns.text, fns.concatenate, ITEMS)) == TEXT
    settle(engine)


def test_items_are_anything(engine):
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


def test_a_task_is_sent_its_own_item_only(threads, monkeypatch):
    """What the items weigh together never travels with one of them."""
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


def test_nothing_to_do(engine):
    assert within(lambda: list(engine.imap(fns.text, []))) == []
    with pytest.raises(ValueError, match="nothing to fold"):
        within(lambda: engine.reduce(fns.text, fns.concatenate, []))


def test_sums_have_the_bits_of_threads(engine):
    X = np.random.default_rng(0).normal(size=(977, 7)) * 10.0 ** np.arange(-3, 4)
    items = ranges(977, 13)
    expected = LocalEngine(3).reduce(fns.uneven_rows, fns.add, items, X)
    found = within(lambda: engine.reduce(fns.uneven_rows, fns.add, items, X))
    assert found.tobytes() == expected.tobytes()
    parts = dict(within(lambda: list(engine.imap(fns.uneven_rows, items, X))))
    assert all(part.tobytes() == X[start:stop].sum(axis=0).tobytes() for (start, stop), part in parts.items())


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_moments_have_the_bits_of_threads(engine, dtype):
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
def test_done_is_called_once_per_item(engine, count):
    seen: list[tuple[int, int]] = []
    within(lambda: list(engine.imap(fns.text, ITEMS[:count], done=seen.append)))
    assert sorted(seen) == ITEMS[:count]
    seen.clear()
    within(lambda: engine.reduce(fns.text, fns.concatenate, ITEMS[:count], done=seen.append))
    assert sorted(seen) == ITEMS[:count]


def test_imap_keeps_a_window(threads):
    """However many items there are, the scheduler knows a few."""
    window = threads.workers * TASKS_PER_WORKER
    items = [(i, i + 1) for i in range(300)]
    most = 0
    for _ in threads.imap(fns.text, items):
        time.sleep(0.001)
        most = max(most, len(scheduler_of(threads).tasks))
    assert most <= 4 * window  # what finished together is replaced at once; on a busy machine the old ones linger
    settle(threads)


def test_a_slow_consumer_is_not_overrun(threads):
    window = threads.workers * TASKS_PER_WORKER
    seen: list[int] = []

    def fn(item):
        seen.append(item[0])

    for taken, _ in enumerate(threads.imap(fn, ranges(200, 1)), 1):
        time.sleep(0.002)
        assert len(seen) <= taken + 2 * window  # what finished together is replaced before it is handed out


def test_reduce_keeps_a_window(threads, monkeypatch):
    """The scheduler remembers what sums are made of: without groups, these 500 items would be 570 tasks at the end."""
    monkeypatch.setattr("landmark_ops.engine.grouped_fold.GROUP", FAN_IN)
    counts = []

    def watch(item):
        counts.append(len(scheduler_of(threads).tasks))

    within(lambda: threads.reduce(fns.text, fns.concatenate, ranges(500, 1), done=watch))
    assert max(counts) <= 200
    settle(threads)


@pytest.mark.parametrize("count", [1, 7, 8, 9, 64, 65, 130])
def test_reduce_folds_along_the_tree_of_threads(threads, monkeypatch, count):
    """Where the tree is cut into groups makes no difference, not even of rounding."""
    expected = LocalEngine(2).reduce(fns.text, fns.bracket, ranges(count, 1))
    assert within(lambda: threads.reduce(fns.text, fns.bracket, ranges(count, 1))) == expected
    monkeypatch.setattr("landmark_ops.engine.grouped_fold.GROUP", FAN_IN)
    assert within(lambda: threads.reduce(fns.text, fns.bracket, ranges(count, 1))) == expected


@pytest.mark.parametrize("call", ["imap", "reduce"])
def test_errors_keep_their_type_and_attributes(engine, call):
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


def test_an_error_ends_the_rest(threads):
    started: list[int] = []

    def fn(item):
        started.append(item[0])
        if item[0] == 5:
            raise InputError("no")

    with pytest.raises(InputError, match="no"):
        list(threads.imap(fn, ITEMS))
    settle(threads)
    assert len(started) <= 6 + threads.workers * TASKS_PER_WORKER


def test_a_consumer_that_stops_ends_the_rest(engine):
    stream = engine.imap(fns.slow_text, ITEMS, 0.01)
    within(lambda: next(stream))
    within(stream.close)
    settle(engine)


def test_a_lost_worker_loses_no_item(processes, tmp_path):
    found = within(lambda: list(processes.imap(fns.die_once, ITEMS, 20, str(tmp_path / "flag"))))
    assert (tmp_path / "flag").exists()
    assert sorted(found) == [(item, f"{item[0]},") for item in ITEMS]
    settle(processes)


def test_a_worker_lost_after_its_results_came_loses_no_item(processes):
    """While the consumer is busy: results are here, but their futures count as lost and are computed again."""
    processes.client.wait_for_workers(2, timeout=PATIENCE)
    victim = min(processes.client.run(os.getpid).values())

    def consume() -> list[Any]:
        found = []
        for taken, result in enumerate(processes.imap(fns.slow_text, ITEMS, 0.02)):
            found.append(result)
            if taken == 3:
                time.sleep(0.6)  # more results come in
                os.kill(victim, signal.SIGKILL)
                time.sleep(0.05)  # seen as lost, not yet computed again
        return found

    assert sorted(within(consume)) == [(item, f"{item[0]},") for item in ITEMS]


@pytest.mark.parametrize("victim", [0, 30, 59])
def test_a_lost_worker_loses_no_part_of_a_sum(processes, tmp_path, victim):
    processes.client.wait_for_workers(2, timeout=PATIENCE)
    seen: list[tuple[int, int]] = []
    flag = str(tmp_path / "flag")
    found = within(lambda: processes.reduce(fns.die_once, fns.concatenate, ITEMS, victim, flag, done=seen.append))
    assert (tmp_path / "flag").exists()
    assert found == TEXT
    assert sorted(seen) == ITEMS


@pytest.mark.parametrize("call", ["imap", "reduce"])
def test_arguments_lost_with_their_worker_are_sent_again(lone, tmp_path, call):
    """The only copy of the shared arguments dies with the only worker."""
    lone.client.wait_for_workers(1, timeout=PATIENCE)
    seen: list[tuple[int, int]] = []
    arguments = (20, str(tmp_path / "flag"), np.arange(1000.0))
    if call == "imap":
        found = within(lambda: list(lone.imap(fns.die_once, ITEMS, *arguments, done=seen.append)))
        assert sorted(found) == [(item, f"{item[0]},") for item in ITEMS]
    else:
        assert within(lambda: lone.reduce(fns.die_once, fns.concatenate, ITEMS, *arguments, done=seen.append)) == TEXT
    assert (tmp_path / "flag").exists()
    assert sorted(seen) == ITEMS
    deadline = time.monotonic() + 20
    while any(task.state == "memory" and task.nbytes > 8000 for task in scheduler_of(lone).tasks.values()):
        assert time.monotonic() < deadline, "the shared arguments stay on the workers"
        time.sleep(0.01)


@pytest.mark.parametrize("call", ["imap", "reduce"])
def test_a_block_that_kills_its_workers_is_named(processes, call):
    processes.client.wait_for_workers(2, timeout=PATIENCE)
    message = r"rows (\d+)\.\.\d+: every worker that took this block died.* raise cluster\.memory"
    run = {
        "imap": lambda: list(processes.imap(fns.die, ITEMS, 30)),
        "reduce": lambda: processes.reduce(fns.die, fns.concatenate, ITEMS, 30),
    }[call]
    with pytest.raises(RunError, match=message) as found:
        within(run)
    # Dask blames whatever waited on both workers that died: nearly always the culprit alone, at times its neighbour
    assert abs(int(str(found.value).split("..")[0].split()[1]) - 30) <= 2 * TASKS_PER_WORKER


def test_a_block_that_kills_the_only_worker_is_placed_among_the_running(lone):
    """Every death loses the arguments, and so all that was running: the culprit is one of them."""
    lone.client.wait_for_workers(1, timeout=PATIENCE)
    with pytest.raises(RunError, match=r"a block among rows (\d+)\.\.(\d+): its workers died again and again") as found:
        within(lambda: list(lone.imap(fns.die, ITEMS, 30)))
    low, high = (int(part) for part in str(found.value).split("rows ")[1].split(":")[0].split(".."))
    assert low <= 30 < high
    with pytest.raises(RunError, match="the sums over 60 blocks were lost with their workers 4 times"):
        within(lambda: lone.reduce(fns.die, fns.concatenate, ITEMS, 30))


def test_an_item_that_is_no_range_is_called_what_it_is(processes):
    processes.client.wait_for_workers(2, timeout=PATIENCE)
    message = r"^faces-03\.tar: every worker that took this item died, most likely out of memory: raise cluster\.memory"
    with pytest.raises(RunError, match=message):
        within(lambda: list(processes.imap(fns.die_of_item, ["faces-03.tar"])))


def test_a_sum_that_kills_its_workers_ends(processes):
    processes.client.wait_for_workers(2, timeout=PATIENCE)
    with pytest.raises(RunError, match=r"rows \d+\.\.\d+: every worker that took this block died|were lost with their"):
        within(lambda: processes.reduce(fns.text, fns.die_combining, ITEMS[:20]))


@pytest.mark.parametrize("call", ["imap", "reduce"])
def test_a_cluster_that_lost_all_its_workers_does_not_hang(call):
    """Nor where they are lost for good while tasks run."""
    with (
        dask.config.set({"distributed.scheduler.no-workers-timeout": "1s"}),
        start(n_workers=1, processes=False) as local,
        Client(local, set_as_default=False, timeout=2) as client,
    ):
        engine = ClusterEngine(client)

        def leave(item):
            if item[0] == 3:
                local.scale(0)
            return ""

        run = {
            "imap": lambda: list(engine.imap(fns.slow_text, ITEMS, 0.01, done=leave)),
            "reduce": lambda: engine.reduce(fns.slow_text, fns.concatenate, ITEMS, 0.01, done=leave),
        }[call]
        with pytest.raises(RunError, match=r"no worker .*left.*run again to resume"):
            within(run)
        with pytest.raises(RunError, match=r"no worker of the cluster is left"):
            within(lambda: list(engine.imap(fns.text, ITEMS)))


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

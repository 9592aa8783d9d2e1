"""The fold's fixed tree, and the engine on threads: order, window, errors."""

from __future__ import annotations

import threading
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from landmark_ops.engine.fold import FAN_IN, Fold
from landmark_ops.engine.protocol import TASKS_PER_WORKER
from landmark_ops.engine.threads import LocalEngine
from tests.block_functions import say

ITEMS = [(i, i + 1) for i in range(100)]


def text(item: tuple[int, int], *common: str) -> str:
    return f"{item[0]}{''.join(common)},"


class Traced:
    """A string that knows by which tree it was put together."""

    def __init__(self, text: str, shape: object) -> None:
        self.text, self.shape = text, shape

    @staticmethod
    def join(parts: list[Traced]) -> Traced:
        return Traced("".join(part.text for part in parts), tuple(part.shape for part in parts))


@given(count=st.integers(1, 700))
def test_fold_keeps_the_order_and_every_item(count):
    fold: Fold[str] = Fold("".join)
    for i in range(count):
        fold.push(f"{i},")
    assert fold.finish() == "".join(f"{i}," for i in range(count))


@given(count=st.integers(1, 700))
@settings(max_examples=30)
def test_fold_holds_few_parts(count):
    fold: Fold[str] = Fold("".join)
    for i in range(count):
        fold.push(f"{i},")
        held = [len(level) for level in fold._levels]
        assert max(held) <= FAN_IN - 1
        assert FAN_IN ** (len(held) - 1) <= i + 1  # the number of levels grows with the logarithm


@pytest.mark.parametrize("count", [1, FAN_IN - 1, FAN_IN, FAN_IN + 1, FAN_IN**2, FAN_IN**2 + 1, FAN_IN**3])
def test_fold_of_critical_counts(count):
    fold: Fold[str] = Fold("".join)
    for i in range(count):
        fold.push(f"{i},")
    assert fold.finish() == "".join(f"{i}," for i in range(count))


def test_fold_of_one_part_is_that_part():
    """Nothing is combined: the part itself comes back, not a copy."""
    part = ["x"]
    fold: Fold[list[str]] = Fold(lambda parts: pytest.fail("one part needs no combining"))
    fold.push(part)
    assert fold.finish() is part


def test_fold_of_nothing_says_so():
    with pytest.raises(ValueError, match="nothing to fold: no items were given"):
        Fold("".join).finish()


def test_fold_never_hands_out_its_own_list():
    """A combine that keeps its argument must not see it change later."""
    kept: list[list[int]] = []
    fold: Fold[int] = Fold(lambda parts: kept.append(parts) or sum(parts))
    for i in range(FAN_IN * 3):
        fold.push(i)
    assert [sum(parts) for parts in kept] == [sum(range(FAN_IN * j, FAN_IN * (j + 1))) for j in range(3)]


@pytest.mark.parametrize("workers", [1, 2, 3, 4])
@pytest.mark.parametrize("count", [1, 2, 7, 100])
def test_imap_yields_each_item_once(workers, count):
    found = list(LocalEngine(workers).imap(text, ITEMS[:count], "a", "b"))
    assert sorted(found) == sorted((item, f"{item[0]}ab,") for item in ITEMS[:count])


ANYTHING = ["a.tar", Path("b"), {"id": 3}, [1, 2], None, ("c", 4), frozenset({5}), 2.5]


@pytest.mark.parametrize("workers", [1, 3])
def test_items_are_anything(workers):
    """Unhashable and equal ones too: each is one item, named by itself."""
    items, seen = [*ANYTHING, *ANYTHING], []
    engine = LocalEngine(workers)
    found = list(engine.imap(say, items, "!", done=seen.append))
    assert sorted(result for _, result in found) == sorted(f"{item}!" for item in items)
    assert all(result == f"{item}!" for item, result in found)
    assert sorted(map(str, seen)) == sorted(map(str, items))
    assert engine.reduce(say, "".join, items) == "".join(map(str, items))


def test_no_items():
    assert list(LocalEngine(2).imap(text, [])) == []
    with pytest.raises(ValueError, match="nothing to fold"):
        LocalEngine(2).reduce(text, "".join, [])


@given(
    count=st.integers(1, 100),
    workers=st.integers(1, 4),
    delays=st.lists(st.integers(0, 3), min_size=1, max_size=7),
)
@settings(max_examples=25, deadline=None)
def test_reduce_does_not_depend_on_who_is_faster(count, workers, delays):
    def fn(item):
        time.sleep(delays[item[0] % len(delays)] * 1e-4)
        return Traced(f"{item[0]},", item[0])

    found = LocalEngine(workers).reduce(fn, Traced.join, ITEMS[:count])
    fold: Fold[Traced] = Fold(Traced.join)
    for item in ITEMS[:count]:
        fold.push(Traced(f"{item[0]},", item[0]))
    assert (found.text, found.shape) == (fold.finish().text, fold.finish().shape)


def test_sums_are_the_same_bits_for_any_number_of_workers():
    parts = np.random.default_rng(0).normal(size=(100, 5)) * 10.0 ** np.arange(-3, 2)

    def fn(item):
        time.sleep(parts[item[0], 0] ** 2 * 10)
        return parts[item[0]]

    sums = [LocalEngine(workers).reduce(fn, partial(np.sum, axis=0), ITEMS).tobytes() for workers in (1, 2, 3, 4)]
    assert len(set(sums)) == 1


@pytest.mark.parametrize("workers", [1, 3])
def test_imap_keeps_a_window(workers):
    """No more than two tasks per worker are started beyond those handed out: results never pile up."""
    started: list[int] = []

    def fn(item):
        started.append(item[0])

    stream = LocalEngine(workers).imap(fn, ITEMS)
    for taken, _ in enumerate(stream, 1):
        time.sleep(0.001)
        assert len(started) <= taken + 2 * workers
    assert sorted(started) == [item[0] for item in ITEMS]


def test_reduce_keeps_a_window_however_slow_the_first_item_is():
    """Results that wait for their turn are held in memory: one stuck item must not let them grow with n."""
    engine = LocalEngine(4)
    others: list[int] = []

    def fn(item):
        if item[0] == 0:
            deadline = time.monotonic() + 0.3
            while time.monotonic() < deadline and len(others) < len(ITEMS) - 1:
                time.sleep(0.01)
            return len(others)
        others.append(item[0])
        return 0

    assert engine.reduce(fn, sum, ITEMS) <= engine.workers * TASKS_PER_WORKER


@pytest.mark.parametrize("call", ["imap", "reduce"])
@pytest.mark.parametrize("bad", [0, 50, 99])
def test_errors_arrive_and_end_the_rest(call, bad):
    started: list[int] = []

    def fn(item):
        started.append(item[0])
        if item[0] == bad:
            raise ZeroDivisionError(f"item {item[0]}")
        return ""

    engine, before = LocalEngine(2), set(threading.enumerate())
    with pytest.raises(ZeroDivisionError, match=f"item {bad}"):
        list(engine.imap(fn, ITEMS)) if call == "imap" else engine.reduce(fn, "".join, ITEMS)
    assert len(started) <= bad + 1 + engine.workers * TASKS_PER_WORKER
    assert set(threading.enumerate()) <= before  # other tests may have left pools of their own


def test_a_consumer_that_stops_ends_the_rest():
    started: list[int] = []

    def fn(item):
        started.append(item[0])

    before = set(threading.enumerate())
    stream = LocalEngine(2).imap(fn, ITEMS)
    next(stream)
    stream.close()
    assert len(started) <= 5
    assert set(threading.enumerate()) <= before  # other tests may have left pools of their own


@pytest.mark.parametrize("count", [1, 2, 100])
def test_done_is_called_once_per_item(count):
    engine = LocalEngine(3)
    seen: list[tuple[int, int]] = []
    list(engine.imap(text, ITEMS[:count], done=seen.append))
    assert sorted(seen) == ITEMS[:count]
    seen.clear()
    engine.reduce(text, "".join, ITEMS[:count], done=seen.append)
    assert sorted(seen) == ITEMS[:count]


def test_done_comes_before_the_result_is_handed_out():
    seen: list[tuple[int, int]] = []
    for item, _ in LocalEngine(2).imap(text, ITEMS, done=seen.append):
        assert item in seen


def test_blas_has_one_thread_per_worker_while_blocks_run():
    """Also where results are consumed: two workers with two BLAS threads each would fight for two cores."""
    from threadpoolctl import threadpool_info

    def threads(item):
        return max((pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"), default=1)

    assert {found for _, found in LocalEngine(2).imap(threads, ITEMS[:4])} == {1}
    assert LocalEngine(2).reduce(threads, max, ITEMS[:4]) == 1


def test_workers_default_to_the_cores_of_this_process():
    import os

    assert LocalEngine().workers == len(os.sched_getaffinity(0))

"""Workers that die: nothing is lost, and a task that kills its workers is named."""

from __future__ import annotations

import os
import signal
import time
from typing import Any

import dask
import numpy as np
import pytest
from distributed import Client

from landmark_ops.engine.cluster import ClusterEngine
from landmark_ops.engine.protocol import TASKS_PER_WORKER
from landmark_ops.errors import RunError
from tests import block_functions as fns
from tests.engine.clusters import (
    ITEMS,
    PATIENCE,
    TEXT,
    engine,  # noqa: F401  a fixture
    lone,  # noqa: F401  a fixture
    processes,  # noqa: F401  a fixture
    scheduler_of,
    settle,
    start,
    threads,  # noqa: F401  a fixture
    within,
)


def test_a_lost_worker_loses_no_item(processes, tmp_path):  # noqa: F811
    found = within(lambda: list(processes.imap(fns.die_once, ITEMS, 20, str(tmp_path / "flag"))))
    assert (tmp_path / "flag").exists()
    assert sorted(found) == [(item, f"{item[0]},") for item in ITEMS]
    settle(processes)


def test_a_worker_lost_after_its_results_came_loses_no_item(processes):  # noqa: F811
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
def test_a_lost_worker_loses_no_part_of_a_sum(processes, tmp_path, victim):  # noqa: F811
    processes.client.wait_for_workers(2, timeout=PATIENCE)
    seen: list[tuple[int, int]] = []
    flag = str(tmp_path / "flag")
    found = within(lambda: processes.reduce(fns.die_once, fns.concatenate, ITEMS, victim, flag, done=seen.append))
    assert (tmp_path / "flag").exists()
    assert found == TEXT
    assert sorted(seen) == ITEMS


@pytest.mark.parametrize("call", ["imap", "reduce"])
def test_arguments_lost_with_their_worker_are_sent_again(lone, tmp_path, call):  # noqa: F811
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
def test_a_block_that_kills_its_workers_is_named(processes, call):  # noqa: F811
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


def test_a_block_that_kills_the_only_worker_is_placed_among_the_running(lone):  # noqa: F811
    """Every death loses the arguments, and so all that was running: the culprit is one of them."""
    lone.client.wait_for_workers(1, timeout=PATIENCE)
    with pytest.raises(RunError, match=r"a block among rows (\d+)\.\.(\d+): its workers died again and again") as found:
        within(lambda: list(lone.imap(fns.die, ITEMS, 30)))
    low, high = (int(part) for part in str(found.value).split("rows ")[1].split(":")[0].split(".."))
    assert low <= 30 < high
    with pytest.raises(RunError, match="the sums over 60 blocks were lost with their workers 4 times"):
        within(lambda: lone.reduce(fns.die, fns.concatenate, ITEMS, 30))


def test_an_item_that_is_no_range_is_called_what_it_is(processes):  # noqa: F811
    processes.client.wait_for_workers(2, timeout=PATIENCE)
    message = r"^faces-03\.tar: every worker that took this item died, most likely out of memory: raise cluster\.memory"
    with pytest.raises(RunError, match=message):
        within(lambda: list(processes.imap(fns.die_of_item, ["faces-03.tar"])))


def test_a_sum_that_kills_its_workers_ends(processes):  # noqa: F811
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

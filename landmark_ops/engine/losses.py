"""Errors of a cluster that loses work: its scheduler is gone, its workers are, or an item kills every worker."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from distributed import Client
from distributed.scheduler import NoWorkerError

from landmark_ops.errors import RunError
from landmark_ops.row_range import RowRange

RECONNECT_SECONDS = 5.0  # a run survives a lost connection of so long
RESENDS = 3  # times lost work is done again before the run gives up
REMEDY = "see the workers' logs for what ended them, start some, then run again to resume"
SMALLER = "raise cluster.memory, or store the source in smaller {parts}"


def check_scheduler(client: Client, cause: BaseException) -> None:
    """RunError where tasks were lost because the scheduler is gone, not a worker."""
    deadline = time.monotonic() + RECONNECT_SECONDS
    while client.status == "connecting" and time.monotonic() < deadline:
        time.sleep(0.05)
    if client.status != "running":
        address = getattr(client.scheduler, "address", None) or "the cluster"
        raise RunError(
            f"the Dask scheduler {address} was lost: is it running, and reachable? What is committed is kept: run "
            "the same command again to resume"
        ) from cause


def given_up(items: Sequence[Any], error: BaseException) -> RunError:
    """The error where the scheduler gave up one of these items: each worker that took it died, or none was left."""
    names, block, parts = names_of(items)
    if isinstance(error, NoWorkerError):
        return RunError(f"{names}: no worker was left for {error.timeout:.0f} s: {REMEDY}")
    return RunError(
        f"{names}: every worker that took this {block} died, most likely out of memory: {SMALLER.format(parts=parts)}"
    )


def died_again(running: Sequence[Any]) -> RunError:
    """The error where workers die again and again because of one of the items in work."""
    names, block, parts = names_of(running)
    return RunError(
        f"a {block} among {names}: its workers died again and again, most likely out of memory: see their logs, "
        f"{SMALLER.format(parts=parts)}"
    )


def names_of(items: Sequence[Any]) -> tuple[str, str, str]:
    """Words for messages: some items by name, the noun for one, and the stored unit that could be smaller."""
    if all(isinstance(item, RowRange) for item in items):
        whole = RowRange(min(item.start for item in items), max(item.stop for item in items))
        return str(whole), "block", "chunks"
    first, last = str(items[0]), str(items[-1])
    return first if len(items) == 1 else f"{first} to {last}", "item", "parts"

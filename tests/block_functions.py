"""Block functions for tests of engines: workers in other processes import them by name."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from landmark_ops.errors import BadRowsError, InputError

Item = tuple[int, int]


def text(item: Item, *common: str) -> str:
    """The item and the common arguments, as text: order and losses show."""
    return f"{item[0]}{''.join(common)},"


def say(item: Any, *common: str) -> str:
    """The item as text, whatever it is."""
    return f"{item}{''.join(common)}"


def die_of_item(item: Any) -> str:
    """SIGKILL its own worker, whatever the item."""
    os.kill(os.getpid(), signal.SIGKILL)
    return ""


def slow_text(item: Item, seconds: float) -> str:
    """`text`, taking its time."""
    time.sleep(seconds)
    return f"{item[0]},"


def uneven_rows(item: Item, X: NDArray[Any]) -> NDArray[Any]:
    """Sums of rows item[0]..item[1], later items faster than earlier ones."""
    time.sleep(0.002 * (item[0] % 3))
    return X[item[0] : item[1]].sum(axis=0)


def add(parts: list[NDArray[Any]]) -> NDArray[Any]:
    """The sum of some arrays."""
    return np.sum(parts, axis=0)


def concatenate(parts: list[str]) -> str:
    """Text in order."""
    return "".join(parts)


def bracket(parts: list[str]) -> str:
    """Text that shows by which tree it was put together."""
    return f"({' '.join(parts)})"


def refuse_rows(item: Item, bad: int) -> str:
    """BadRowsError on one item."""
    if item[0] == bad:
        raise BadRowsError(3, bad, 1000, "data/x.zarr")
    return f"{item[0]},"


def refuse_input(item: Item, bad: int) -> str:
    """InputError on one item."""
    if item[0] == bad:
        raise InputError("chunk c/1/0 is missing")
    return f"{item[0]},"


def die_once(item: Item, victim: int, flag: str, *common: Any) -> str:
    """SIGKILL its own worker when it meets the victim for the first time; `flag` is a file that remembers it."""
    if item[0] == victim and not Path(flag).exists():
        Path(flag).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(0.005)
    return f"{item[0]},"


def die(item: Item, victim: int) -> str:
    """SIGKILL its own worker whenever it meets the victim, as an allocation beyond all memory would."""
    if item[0] == victim:
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(0.005)
    return f"{item[0]},"


def die_combining(parts: list[str]) -> str:
    """SIGKILL the worker that combines."""
    os.kill(os.getpid(), signal.SIGKILL)
    return "".join(parts)

"""Clocks and progress lines."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from statistics import median
from typing import Any


def seconds_of(work: Callable[[], Any]) -> float:
    """Wall seconds of one call."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def interleave(works: Mapping[str, Callable[[], Any]], rounds: int) -> dict[str, list[float]]:
    """Wall seconds of each work, `rounds` times in turn after one round that is not counted.

    In turn, so that whatever else slows the machine down for a while slows all of them.
    """
    for work in works.values():
        work()
    samples: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(rounds):
        for name, work in works.items():
            samples[name].append(seconds_of(work))
    return samples


def medians(samples: Mapping[str, list[float]]) -> dict[str, float]:
    """The median of each list."""
    return {name: median(values) for name, values in samples.items()}


def say(text: str) -> None:
    """One progress line on stderr."""
    print(f"bench: {text}", file=sys.stderr, flush=True)

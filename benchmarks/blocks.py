"""What benchmarks run on workers: kept apart, so that a worker imports nothing a run of the flow would not."""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import zarr

from landmark_ops.row_range import RowRange
from landmark_ops.stores.sources.rows import Rows


def no_work(item: RowRange) -> None:
    """Does nothing, to measure the cost of the task itself."""


def read_block(item: RowRange, rows: Rows) -> int:
    """Read one range as the extension does; a row count goes back."""
    return len(rows.read(*item))


def bare_read(item: RowRange, uri: str) -> int:
    """Read one range with zarr-python alone, none of the checks for missing and damaged chunks."""
    return len(np.asarray(_bare_array(uri)[item[0] : item[1]]))


def own_peak_rss() -> int:
    """VmHWM of this process in bytes. Not ru_maxrss: that one survives exec, and tells of the parent."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found is not None
    return int(found[1]) << 10


@lru_cache(maxsize=1)
def _bare_array(uri: str) -> zarr.Array[Any]:
    return zarr.open_array(uri, mode="r")

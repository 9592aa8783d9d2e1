"""Planned memory of a neighbour graph and its geodesics, before they are made."""

from __future__ import annotations

from typing import NamedTuple

from landmark_ops.passes.ranges import TASK_BYTES
from landmark_ops.stores.scratch import COLUMN_CHUNK


class GraphBytes(NamedTuple):
    """Planned peak memory, bytes: of one worker, of the process that runs the flow, and of the scratch on disk."""

    worker: int
    flow: int
    scratch: int


def graph_bytes(n: int, d: int, k: int, m: int) -> GraphBytes:
    """Plan the graph of n support rows of d features with k neighbours, and geodesics to m landmarks.

    Not independent of n, up to the cap of the support: a worker maps the lists of n rows (pages that all workers of a
    machine share) while it searches, then the graph of up to 2 n k edges and a batch of paths. The flow's process
    holds the lists while it fills them, then sorts the edges. Without a scratch folder each holds a second copy.
    Constants from measured peaks of 131,072 x 192 to 1,000,000 x 32 rows, rounded up.
    """
    lists = n * (4 * d + 8)
    edges = 2 * n * k * 12 + 4 * n  # float64 length and int32 column; usually three quarters of it
    batch = min(m, COLUMN_CHUNK) * n * (8 + 4 + 4) + n * 200  # float64, float32 copy and chunks; Dijkstra's nodes
    task = 4 * min(TASK_BYTES, n * (4 * d + 8 + 16 * k))
    worker = max(lists + task, edges + batch)
    flow = lists + max(4 * task, n * k * 130)
    return GraphBytes(worker, flow, lists + edges + n * m * 4)

"""Cluster centres as landmarks: a k-means|| start, then a few Lloyd iterations, each one pass over all rows.

Centres are means of rows, computed in Euclidean geometry (for cosine and correlation on rows scaled to unit length)
and then used with the metric asked for. Metrics under which a mean of rows has no meaning are refused.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from landmark_ops.errors import InputError
from landmark_ops.numerics.metric import METRICS, Metric
from landmark_ops.passes.grid import block_rows
from landmark_ops.passes.lookup import gather
from landmark_ops.passes.ranges import ranges
from landmark_ops.selection.landmarks import Landmarks
from landmark_ops.selection.lloyd import ITERATIONS, lloyd
from landmark_ops.selection.request import Request
from landmark_ops.selection.seeding import ROUNDS, seed_centres
from landmark_ops.selection.strategies.maxmin import select_maxmin
from landmark_ops.selection.strategy import STRATEGIES, Strategy
from landmark_ops.selection.usable_rows import unusable_rows, usable, working_rows

SPACES = {
    "none": "",
    "unit": " of rows scaled to unit length",
    "center_unit": " of rows centred and scaled to unit length",
}


def select_kmeans(ask: Request) -> Landmarks:
    """`count` centres, with the number of rows each is the mean of; every row where count = n.

    Raises InputError for a metric without meaningful means, and where fewer than `count` rows are distinct.
    """
    rows, m = ask.rows, ask.count
    asked = ask.geometry
    if not asked.family.has_means:
        meaningful = ", ".join(one.name for one in METRICS if one.has_means)
        raise InputError(
            f"strategy kmeans: metric {asked.name} has no meaningful mean of rows, it takes {meaningful}: "
            "choose strategy uniform or maxmin"
        )
    metric = asked if asked.transform is not None else Metric("euclidean")
    if m == rows.n:
        return every_row(ask, metric)
    items = ranges(rows.n, block_rows(rows.d))
    ask.plan((ROUNDS + 1 + ITERATIONS) * rows.n)
    start, passes, share = seed_centres(ask, metric, items)
    how = f"k-means|| start of {passes - 1} rounds"
    if share < 1:
        how += f" on {share:.2%} of the rows, drawn uniformly"
    if start is None:
        start = farthest_start(ask, metric)
        how = "farthest-first start (few distinct rows)"
    ask.plan((passes + ITERATIONS) * rows.n)
    centres, cells, iterations = lloyd(ask, start, metric, items)
    ask.plan((passes + iterations) * rows.n)
    empty = int((cells.sizes == 0).sum())
    kept = f"; {empty} centres stand for no row and stay where they were" if empty else ""
    rms = np.sqrt(cells.phi / cells.sizes.sum())
    note = (
        f"kmeans: means{SPACES[metric.transform or 'none']}, {how}, {iterations} Lloyd iterations, root mean squared "
        f"distance to the centres {rms:.6g}{kept}"
    )
    if asked.transform is None:
        note += f"; Euclidean centres, used with metric {asked.name}"
    working = working_rows(rows.read(0, 1), metric).dtype
    return Landmarks(np.full(m, -1, np.int64), centres.astype(working), cells.sizes, note)


def every_row(ask: Request, metric: Metric) -> Landmarks:
    """All n rows as their own centres."""
    indices = np.arange(ask.rows.n, dtype=np.int64)
    ask.plan(ask.rows.n)
    points = gather(ask.rows, indices, ask.engine, ask.done)
    if not usable(points, metric).all():
        raise unusable_rows(points, indices, metric, f"{ask.rows.uri}, all rows taken as landmarks")
    return Landmarks(indices, points, np.ones(len(indices)), "kmeans: as many centres as rows, every row is its own")


def farthest_start(ask: Request, metric: Metric) -> NDArray[np.float64]:
    """m distinct rows (m, d) where k-means|| found fewer; InputError where there are fewer."""
    rows = Request(ask.rows, ask.count, ask.seed, ask.engine, metric, ask.skip_bad_rows)
    return working_rows(select_maxmin(rows).points, metric).astype(np.float64)


STRATEGIES.register(
    Strategy(
        "kmeans", select_kmeans, passes=11, compares_by="metric", any_kernel=True, order=2, colour="#2563a8", mark="s"
    )
)

"""What every strategy is asked for, and what it answers.

A strategy is one function from a `Request` to `Landmarks`. It chooses, and computes no embedding.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from landmark_ops.engine.engine import Done, Engine
from landmark_ops.numerics.distances import Array, Metric
from landmark_ops.numerics.kernel import Kernel
from landmark_ops.stores.sources.rows import Rows

Planned = Callable[[int], None]
Rule = Metric | Kernel | None  # what decides which rows can be landmarks: finite ones, within the domain of these


class Landmarks(NamedTuple):
    """m chosen anchors.

    indices: (m,) int64, global row index, -1 where a landmark is a centre or a given point and not a row.
    points: (m, d), in the rows' own dtype for rows, float32 or float64 for centres and given points.
    weights: (m,) float64, how many rows each stands for: cell sizes for kmeans, 1 / (probability of being drawn) for
    leverage and bless, n / m for all others.
    note: what was done, for people: which approximation, which guarantee.
    """

    indices: NDArray[np.int64]
    points: NDArray[Any]
    weights: NDArray[np.float64]
    note: str


@dataclass(frozen=True, eq=False)
class Request:
    """Everything a strategy may use to choose `count` landmarks among `rows`.

    metric
        Geometry of strategies that look at distances; None is Euclidean, and then only NaN and Inf are unusable. Where
        none look at distances it may be a kernel, which says which rows are usable.
    skip_bad_rows
        Pass over rows that are not usable instead of refusing the source.
    indices, points
        The user's own landmarks, for `given`.
    kernel, tolerance
        For strategies that look at a kernel: the kernel with its parameters resolved, and for rpcholesky the relative
        trace error at which fewer landmarks than `count` are enough.
    done, planned
        Progress: `planned(total)` announces how many rows all block passes together go through (again, when that
        changes: k-means may stop early), `done((start, stop))` is called for each range gone through.
    """

    rows: Rows
    count: int
    seed: int
    engine: Engine
    metric: Rule = None
    skip_bad_rows: bool = False
    indices: ArrayLike | None = None
    points: ArrayLike | None = None
    done: Done | None = None
    planned: Planned | None = None
    kernel: Kernel | None = None
    tolerance: float | None = None

    @property
    def geometry(self) -> Metric:
        """The metric, Euclidean where there is none."""
        return self.metric if isinstance(self.metric, Metric) else Metric("euclidean")

    def plan(self, total: int) -> None:
        """Announce that the passes go through `total` rows."""
        if self.planned is not None:
            self.planned(total)


def good(points: Array) -> NDArray[np.bool_]:
    """Which rows of (b, d) hold only finite numbers, (b,) bool."""
    if points.dtype.kind != "f":
        return np.ones(len(points), bool)
    return np.asarray(np.isfinite(points).all(axis=1))


def equal_weights(n: int, m: int) -> NDArray[np.float64]:
    """Each of m landmarks stands for n / m rows, (m,) float64."""
    return np.full(m, n / m)

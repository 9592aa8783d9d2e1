"""Chosen landmarks."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray


class Landmarks(NamedTuple):
    """m chosen anchors.

    indices: (m,) int64, global row index, -1 where a landmark is a centre or a given point and not a row.
    points: (m, d), in the rows' own dtype for rows, float32 or float64 for centres and given points.
    weights: (m,) float64, how many rows each stands for: cell sizes for kmeans, 1 / (probability of being drawn) for
    leverage and bless, n / m for all others.
    note: what was done, for people: which approximation, which guarantee.
    evaluations: how often the kernel or metric was evaluated on a pair of rows, None where that is not counted.
    """

    indices: NDArray[np.int64]
    points: NDArray[Any]
    weights: NDArray[np.float64]
    note: str
    evaluations: int | None = None


def equal_weights(n: int, m: int) -> NDArray[np.float64]:
    """Each of m landmarks stands for n / m rows, (m,) float64."""
    return np.full(m, n / m)

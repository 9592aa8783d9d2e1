"""A strategy: rows at equal steps, `every`, one step after the other."""

from __future__ import annotations

import numpy as np

from landmark_ops.passes.lookup import gather
from landmark_ops.selection.landmarks import Landmarks, equal_weights
from landmark_ops.selection.request import Request
from landmark_ops.selection.strategy import STRATEGIES, Strategy


def select_every(ask: Request) -> Landmarks:
    ask.plan(ask.rows.n)
    indices = np.arange(ask.count) * (ask.rows.n // ask.count)
    points = gather(ask.rows, indices, ask.engine, ask.done)
    return Landmarks(indices, points, equal_weights(ask.rows.n, ask.count), "every: rows at equal steps", 7)


EVERY = STRATEGIES.register(Strategy("every", select_every, passes=4, colour="#112233", mark="*"))

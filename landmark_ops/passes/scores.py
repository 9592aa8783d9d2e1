"""Scores of arrays of one value per row: sizes of clusters, errors of predictions on held-out rows."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from landmark_ops.maps.target_sums import common_mean, mean
from landmark_ops.passes.targets import Targets
from landmark_ops.row_range import RowRange
from landmark_ops.stores.embeddings.store import EmbeddingStore


class Scores(NamedTuple):
    """Sums over the `rows` held-out rows that have a prediction and a target; `right` counts equal classes.

    With e = prediction - target and s = std: sq_error = sum e^2, nlpd = sum log(s sqrt(2 pi)) + e^2 / (2 s^2), the
    negative log density of the target under the prediction; for R^2, mean and spread = sum (y - mean)^2 of targets.
    `unpredicted` counts held-out rows that have a target and no prediction, `untold` all rows that have no target.
    """

    rows: int
    sq_error: float
    nlpd: float
    right: int
    mean: float
    spread: float
    unpredicted: int
    untold: int


def score_block(item: RowRange, store: EmbeddingStore, targets: Targets, undefined: float) -> Scores:
    """Scores of the held-out rows of one chunk, from the arrays as written.

    `undefined` is the value of `prediction` for rows without one.
    """
    read = store.read_outputs(*item)
    y, prediction = targets.read(*item)[:, 0], read["prediction"]
    told = np.isfinite(y)
    aside = told & ~targets.trains(*item)
    keep = aside & np.isfinite(prediction) & (prediction != undefined)
    unpredicted, untold = int((aside & ~keep).sum()), int((~told).sum())
    y, prediction = y[keep], prediction[keep]
    right = int((y == prediction).sum())
    y = y.astype(np.float64)
    error = prediction.astype(np.float64) - y
    center = mean(y)
    nlpd = float("nan")
    if "std" in read:
        std = read["std"].astype(np.float64)[keep]
        nlpd = float((np.log(std * np.sqrt(2 * np.pi)) + error**2 / (2 * std**2)).sum())
    spread = float(((y - center) ** 2).sum())
    return Scores(len(y), float(error @ error), nlpd, right, center, spread, unpredicted, untold)


def add_scores(parts: list[Scores]) -> Scores:
    """The scores of several blocks together; spreads about their common mean, never by subtracting large squares."""
    whole = Scores(*(sum(column) for column in zip(*parts, strict=True)))
    center = common_mean([part.rows for part in parts], [part.mean for part in parts])
    spread = sum(part.spread + part.rows * (part.mean - center) ** 2 for part in parts)
    return whole._replace(mean=center, spread=spread)


def count_labels_block(item: RowRange, store: EmbeddingStore, clusters: int) -> NDArray[np.int64]:
    """How many rows of one chunk carry each label, (clusters,)."""
    labels = store.read_outputs(*item)["labels"]
    return np.bincount(labels[labels >= 0], minlength=clusters)

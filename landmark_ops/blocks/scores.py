"""What the arrays of one value per row come to: sizes of clusters, errors of predictions on rows held out."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from landmark_ops.blocks.engine import Item
from landmark_ops.blocks.sums import Targets
from landmark_ops.stores.embedding import EmbeddingStore


class Scores(NamedTuple):
    """Sums over held-out rows with a prediction and a target; `right` counts equal classes.

    With e = prediction - target and s = std: sq_error = sum e^2, nlpd = sum log(s sqrt(2 pi)) + e^2 / (2 s^2), the
    negative log density of the target under the prediction; total and square are of the targets, for R^2.
    """

    rows: int
    sq_error: float
    nlpd: float
    right: int
    total: float
    square: float


def score_block(item: Item, store: EmbeddingStore, targets: Targets) -> Scores:
    """Scores of the held-out rows of one chunk, from the arrays as written."""
    read = store.read_outputs(*item)
    y = targets.read(*item)[:, 0]
    prediction = read["prediction"].astype(np.float64)
    keep = ~targets.trains(*item) & np.isfinite(y) & np.isfinite(prediction)
    y, prediction = y[keep], prediction[keep]
    error = prediction - y
    nlpd = float("nan")
    if "std" in read:
        std = read["std"].astype(np.float64)[keep]
        nlpd = float((np.log(std * np.sqrt(2 * np.pi)) + error**2 / (2 * std**2)).sum())
    return Scores(len(y), float(error @ error), nlpd, int((error == 0).sum()), float(y.sum()), float(y @ y))


def add_scores(parts: list[Scores]) -> Scores:
    """The scores of several blocks together."""
    return Scores(*(sum(column) for column in zip(*parts, strict=True)))


def count_labels_block(item: Item, store: EmbeddingStore, clusters: int) -> NDArray[np.int64]:
    """How many rows of one chunk carry each label, (clusters,)."""
    labels = store.read_outputs(*item)["labels"]
    return np.bincount(labels[labels >= 0], minlength=clusters)

"""The account of a generation, read back from its tables rather than from the run's own counts."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

from landmark_ops.errors import RunError
from landmark_ops.stores.tables.tables import TableSet

SCORE_BINS = 50
SIZE_EDGES = np.exp2(np.arange(2, 14, dtype=np.float64)).astype(np.float64)  # longer side of a box, 4 px to 8,192 px


class Account(NamedTuple):
    """What the tables hold of one generation, read back from them: images = with + without + failed."""

    images: int
    with_instances: int
    without: int
    failed: int
    instances: int
    reasons: Counter[str]
    scores: NDArray[np.int64]
    sizes: NDArray[np.int64]


def read_account(tables: TableSet, generation: str) -> Account:
    """Count what the tables hold, batch by batch. RunError if they do not agree: rows were lost or added by others."""
    wanted = pc.field("config_hash") == generation
    images = with_instances = without = failed = claimed = 0
    for batch in tables.dataset("images").to_batches(columns=["instances"], filter=wanted):
        found = batch.column(0)
        images += len(found)
        failed += found.null_count
        counts = np.asarray(found.drop_null())
        with_instances += int((counts > 0).sum())
        without += int((counts == 0).sum())
        claimed += int(counts.sum())
    reasons: Counter[str] = Counter()
    for batch in tables.dataset("failures").to_batches(columns=["reason"], filter=wanted):
        reasons.update(batch.column(0).to_pylist())
    instances = 0
    scores = np.zeros(SCORE_BINS, np.int64)
    sizes = np.zeros(len(SIZE_EDGES) - 1, np.int64)
    for batch in tables.dataset("keypoints").to_batches(columns=["score", "box"], filter=wanted):
        instances += batch.num_rows
        score = np.asarray(batch.column(0).drop_null(), np.float64)
        scores += np.histogram(np.clip(score, 0, 1), SCORE_BINS, (0, 1))[0]
        box = {
            name: np.asarray(pc.struct_field(batch.column(1), name), np.float64) for name in ("x0", "y0", "x1", "y1")
        }
        side = np.maximum(box["x1"] - box["x0"], box["y1"] - box["y0"])
        side = np.clip(side[np.isfinite(side)], SIZE_EDGES[0], SIZE_EDGES[-1] - 1)
        sizes += np.histogram(side, SIZE_EDGES)[0]
    if reasons.total() != failed or instances != claimed:
        raise RunError(
            f"{tables.uri}: the tables disagree: {failed} images failed and {reasons.total()} rows of failures, "
            f"{claimed} instances counted and {instances} rows of keypoints: something else has written there"
        )
    return Account(images, with_instances, without, failed, instances, reasons, scores, sizes)

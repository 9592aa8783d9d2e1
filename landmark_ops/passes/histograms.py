"""Every placed row counted on grids, read back from the embedding."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from landmark_ops.row_range import RowRange
from landmark_ops.stores.embeddings.store import EmbeddingStore


def histogram_block(
    item: RowRange,
    store: EmbeddingStore,
    pairs: tuple[tuple[int, int], ...],
    low: NDArray[Any],
    high: NDArray[Any],
    bins: int,
) -> NDArray[np.int64]:
    """Count the placed rows of one chunk on grids over pairs of components; (pairs, bins, bins), row = second.

    Edges run from `low` to `high` (k,), the extent of all rows, so every row with coordinates is counted.
    """
    embedding, _ = store.read(*item)
    embedding = embedding[~np.isnan(embedding).any(axis=1)]
    span = np.where(high > low, high - low, 1)
    cells = np.minimum(((embedding.astype(np.float64) - low) * (bins / span)).astype(np.int64), bins - 1)
    counts = [np.bincount(cells[:, y] * bins + cells[:, x], minlength=bins * bins) for x, y in pairs]
    return np.stack(counts).reshape(len(pairs), bins, bins)

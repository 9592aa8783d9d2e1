"""Place every row: one task reads a chunk, maps it, writes its region of the output and hands back a few numbers.

Nothing of size n or n x m ever exists. A task carries addresses; the map is read from storage once per worker.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from landmark_ops.blocks.engine import Item
from landmark_ops.blocks.stored_map import load_map
from landmark_ops.stores.embedding import EmbeddingStore, Written, describe
from landmark_ops.stores.rows import Rows


class Extended(NamedTuple):
    """What placing one range of rows gave: its record, and the sampled rows among it."""

    written: Written
    rows: NDArray[Any]  # (s, d) sampled rows, as stored
    embedding: NDArray[np.float32]  # (s, k)
    residual: NDArray[np.float32]  # (s,)


def extend_block(item: Item, rows: Rows, uri: str, sha256: str, sample: NDArray[np.int64]) -> Extended:
    """Place rows item[0]..item[1] and commit them to the embedding at `uri`. `sample`: sorted global row indices."""
    start, stop = item
    X = rows.read(start, stop)
    placed = load_map(uri, sha256).place(X)
    embedding = placed.embedding.astype(np.float32)
    residual = placed.residual.astype(np.float32)
    written = EmbeddingStore(uri).write(start, embedding, residual)
    local = sample[np.searchsorted(sample, start) : np.searchsorted(sample, stop)] - start
    return Extended(written, X[local], embedding[local], residual[local])


def gather_block(
    item: Item, rows: Rows, uri: str, sample: NDArray[np.int64]
) -> tuple[NDArray[Any], NDArray[np.float32], NDArray[np.float32]]:
    """The sampled rows of a chunk that an earlier run committed, as `Extended` hands them back."""
    chosen = sample[np.searchsorted(sample, item[0]) : np.searchsorted(sample, item[1])]
    embedding, residual = EmbeddingStore(uri).read(*item)
    return rows.take(chosen), embedding[chosen - item[0]], residual[chosen - item[0]]


def reread_block(item: Item, uri: str) -> Written | None:
    """Describe the chunk as it now lies in storage, for comparison with its record; None where it is damaged."""
    try:
        return describe(item[0], *EmbeddingStore(uri).read(*item))
    except ValueError:  # what codecs raise on a flipped or cut byte
        return None


def count_bad_block(item: Item, rows: Rows) -> tuple[int, int]:
    """Number of rows with NaN or Inf among item[0]..item[1], and the global index of the first, -1 if none."""
    X = rows.read(*item)
    if X.dtype.kind != "f":
        return 0, -1
    bad = np.flatnonzero(~np.isfinite(X).all(axis=1))
    return len(bad), item[0] + int(bad[0]) if len(bad) else -1


def histogram_block(
    item: Item, uri: str, pairs: tuple[tuple[int, int], ...], low: NDArray[Any], high: NDArray[Any], bins: int
) -> NDArray[np.int64]:
    """Count the placed rows of one chunk on grids over pairs of components; (pairs, bins, bins), row = second.

    Edges run from `low` to `high` (k,), the extent of all rows, so every row with coordinates is counted.
    """
    embedding, _ = EmbeddingStore(uri).read(*item)
    embedding = embedding[~np.isnan(embedding).any(axis=1)]
    span = np.where(high > low, high - low, 1)
    cells = np.minimum(((embedding.astype(np.float64) - low) * (bins / span)).astype(np.int64), bins - 1)
    counts = [np.bincount(cells[:, y] * bins + cells[:, x], minlength=bins * bins) for x, y in pairs]
    return np.stack(counts).reshape(len(pairs), bins, bins)


def add_histograms(parts: list[NDArray[np.int64]]) -> NDArray[np.int64]:
    """The counts of several blocks together."""
    return np.sum(parts, axis=0)

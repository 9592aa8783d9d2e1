"""Place every row: one task reads a chunk, maps it, writes its region of the output and hands back a few numbers.

Nothing of size n or n x m ever exists. A task carries addresses; the map is read from storage once per worker.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from landmark_ops.errors import DamagedError
from landmark_ops.maps.causes import Cause
from landmark_ops.maps.evaluation import place_all
from landmark_ops.maps.landmark_map import LandmarkMap
from landmark_ops.maps.parts import Placed
from landmark_ops.maps.tally import Found
from landmark_ops.numerics.ranges import squares
from landmark_ops.passes.stored_map import load_maps
from landmark_ops.passes.undefined_rows import causes_of_rows
from landmark_ops.row_range import RowRange
from landmark_ops.stores.embeddings.contents import Written, describe
from landmark_ops.stores.embeddings.store import EmbeddingStore
from landmark_ops.stores.sources.rows import Rows

GEODESIC_ROWS = 16_384  # read together where geodesics place rows: a chunk of them


class Destination(NamedTuple):
    """One embedding a pass writes: its store, the hash of its map, and where the rows' geodesics (n, m) are kept.

    `blocks` is None for maps that place rows themselves; lengths along a graph were found for all rows at once.
    """

    store: EmbeddingStore
    sha256: str
    blocks: Rows | None = None


class Extended(NamedTuple):
    """The result of placing one range of rows: a record per output, and the sampled rows among them."""

    written: list[Written]
    rows: NDArray[Any]  # (s, d) sampled rows, as stored
    undefined: list[dict[Cause, Found]]  # per output, why rows have no coordinates


class Gathered(NamedTuple):
    """Sampled rows of one embedding."""

    embedding: NDArray[np.float32]  # (s, k)
    residual: NDArray[np.float32]  # (s,)


def extend_block(
    item: RowRange, rows: Rows, destinations: tuple[Destination, ...], sample: NDArray[np.int64]
) -> Extended:
    """Place rows item[0]..item[1] and commit them to every destination. `sample`: sorted global row indices."""
    start, stop = item
    X = rows.read(start, stop)
    maps = load_maps(tuple((to.store, to.sha256) for to in destinations))
    direct = [at for at, to in enumerate(destinations) if to.blocks is None]
    placed = dict(zip(direct, place_all([maps[at] for at in direct], X), strict=True))
    written: list[Written] = []
    undefined: list[dict[Cause, Found]] = []
    for at, to in enumerate(destinations):
        if to.blocks is not None:
            placed[at] = place_geodesics(maps[at], to.blocks, start, stop)
        embedding, residual, read = maps[at].stored(placed[at])
        written.append(to.store.write(start, embedding, residual, read))
        bad = np.flatnonzero(np.isnan(embedding).any(axis=1)) if written[-1].bad_rows else np.zeros(0, np.int64)
        undefined.append(causes_of_rows(X[bad], start + bad, maps[at], to.blocks) if len(bad) else {})
    return Extended(written, X[within(sample, start, stop) - start], undefined)


def place_geodesics(fitted: LandmarkMap, lengths: Rows, start: int, stop: int) -> Placed:
    """Rows start..stop placed by their geodesics (n, m), a part of them at a time: narrow rows have wide geodesics."""
    parts = [
        fitted.place_blocks(squares(lengths.read(*item)))
        for item in ((at, min(at + GEODESIC_ROWS, stop)) for at in range(start, stop, GEODESIC_ROWS))
    ]
    return Placed(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))


def gather_block(item: RowRange, store: EmbeddingStore, sample: NDArray[np.int64]) -> Gathered:
    """The sampled rows of a committed chunk."""
    start, stop = item
    embedding, residual = store.read(start, stop)
    local = within(sample, start, stop) - start
    return Gathered(embedding[local], residual[local])


def within(sample: NDArray[np.int64], start: int, stop: int) -> NDArray[np.int64]:
    """The members of a sorted sample in start..stop."""
    return sample[np.searchsorted(sample, start) : np.searchsorted(sample, stop)]


def reread_block(item: RowRange, store: EmbeddingStore) -> Written | None:
    """Describe the chunk as it now lies in storage, for comparison with its record; None where it is damaged."""
    try:
        return describe(item[0], *store.read(*item), store.read_outputs(*item))
    except (ValueError, DamagedError):  # what codecs raise on a flipped or cut byte; a chunk that has gone
        return None

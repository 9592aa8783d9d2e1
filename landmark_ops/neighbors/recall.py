"""How many lists to search so that nearly all true neighbours are found, and the recall this gives."""

from __future__ import annotations

from math import sqrt

import numpy as np
from numpy.typing import NDArray

from landmark_ops.engine.protocol import Engine
from landmark_ops.neighbors.shared_lists import SharedLists, attach
from landmark_ops.numerics.neighbor_lists import IvfIndex
from landmark_ops.numerics.neighbors import without
from landmark_ops.numerics.quality import Estimate
from landmark_ops.numerics.random_streams import Stream, generator
from landmark_ops.passes.ranges import ranges
from landmark_ops.row_range import RowRange

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

RECALL_ROWS, RECALL_TASK = 512, 64  # rows whose true neighbours are looked up: a standard error of about .005
TARGET_RECALL = 0.97  # four standard errors above the .95 that is promised
LADDER = (8, 12, 16, 20, 24, 32, 48, 64, 96, 128, 192, 256)  # probes tried, up to an eighth of the lists
NEARLY_ALL = 0.995


def measure_recall(shared: SharedLists, s: int, lists: int, k: int, engine: Engine, seed: int) -> tuple[Estimate, int]:
    """Recall with its standard error at the fewest probes that reach the target on a sample, and their number.

    One half of the sample chooses the probes, the other measures their recall: on the same half it would be biased.
    """
    draw = generator(seed, Stream.GRAPH_RECALL)
    sample = draw.choice(s, min(RECALL_ROWS, s), replace=False)
    ladder = tuple(probes for probes in LADDER if probes <= max(lists // 8, LADDER[0]))
    items = ranges(len(sample), RECALL_TASK)
    parts = dict(engine.imap(recall_block, items, shared, sample, k, ladder))
    shares = np.concatenate([parts[item] for item in items])
    half = len(shares) // 2
    enough = np.flatnonzero(shares[:half].mean(axis=0) >= TARGET_RECALL)
    chosen = int(enough[0]) if len(enough) else len(ladder) - 1
    told = shares[half:, chosen]
    error = float(told.std(ddof=1)) / sqrt(len(told)) if len(told) > 1 else float("nan")
    return Estimate(float(told.mean()), error), ladder[chosen]


def recall_block(
    item: RowRange, shared: SharedLists, sample: I64, n_neighbors: int, ladder: tuple[int, ...]
) -> NDArray[np.float64]:
    """Recall of the sampled rows item[0]..item[1] for each number of probes; sample: (q,) places in the lists."""
    index = attach(shared)
    single = [index.listed(int(at), int(at) + 1) for at in sample[slice(*item)]]
    own, low = (np.concatenate(part) for part in zip(*single, strict=True))
    return probe_recall(index, low, own, n_neighbors, ladder)


def probe_recall(index: IvfIndex, low: F32, own: I64, n_neighbors: int, ladder: tuple[int, ...]) -> F64:
    """Share of each row's true neighbours that are found, per number of probes. (q, len(ladder)).

    low: (q, d) rows of the index, own: (q,) their numbers. The truth is the same search through all lists; another row
    at the same distance as the last true neighbour is as good as it. Once nearly all are found, more probes are not
    tried: their columns repeat the last, which they cannot fall below.
    """
    truth = without(index.search_low(low, n_neighbors + 1, index.lists), own).distances[:, -1:]
    shares = []
    for probes in ladder:
        found = without(index.search_low(low, n_neighbors + 1, probes), own).distances
        shares.append((found <= truth).mean(axis=1))
        if shares[-1].mean() >= NEARLY_ALL:
            break
    shares += shares[-1:] * (len(ladder) - len(shares))
    return np.stack(shares, axis=1)

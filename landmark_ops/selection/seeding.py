"""Where k-means starts: k-means|| (Bahmani, Moseley, Vattani, Kumar & Vassilvitskii 2012).

From one random row, each round keeps row x with probability min(1, l d(x)^2 / phi), where d(x) is its distance to
the candidates so far, phi the sum of d^2 over all rows and l = 2 m. The candidates, weighted by the number of rows
nearest to each, are then reduced to m by k-means++ (Arthur & Vassilvitskii 2007), centrally.

phi is only known once all rows are seen. A range therefore keeps every row that passes with its own part of phi, which
can only be too many, and merges drop rows that no longer pass: one pass per round, and no state per row.

Far above a million rows all of this uses a uniform sample only, the same one in every round: seeding is 12 of the 17 n
m distances of k-means, and a million rows are enough for its purpose, one centre near each cluster. A cluster of fewer
than about 3 / SAMPLE_ROWS of all rows may be missed.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from landmark_ops.numerics.distances import Array
from landmark_ops.numerics.metric import Metric
from landmark_ops.numerics.random_streams import RowStream, Stream, generator, row_numbers
from landmark_ops.passes.sums import add_arrays
from landmark_ops.row_range import RowRange
from landmark_ops.selection.draws import first_row
from landmark_ops.selection.nearest import nearest
from landmark_ops.selection.plus_plus import plus_plus
from landmark_ops.selection.request import Request
from landmark_ops.selection.usable_rows import read_usable, working_rows
from landmark_ops.stores.sources.rows import Rows

ROUNDS = 5  # at most
# A heuristic: a round that left more than this part of phi is followed by no other. Image patches then take 3 rounds
# (5 make no better centres); clusters of Zipf sizes or far outlying ones take all 5 (3: 12-34 % worse on the latter).
LEAVES = 0.7
SAMPLE_ROWS = 1 << 20  # seeding uses about so many rows, or so many per landmark,
SAMPLE_PER_LANDMARK = 256
SAMPLE_ABOVE = 4  # where there are more than so many times as many
OVERSAMPLING = 2  # l = 2 m; dask-ml's l = 2 leaves 79 of 100 centres random


class Sample(NamedTuple):
    """The candidates a round keeps of some rows: X (j, d) working dtype, and keys (j,) = l d^2 / u.

    `phi` is the sum of d^2 over those rows; a row with random number u < l d^2 / phi has a key above phi.
    """

    X: Array
    keys: NDArray[np.float64]
    phi: float


class Start(NamedTuple):
    """m starting centres (m, d) float64, all of them rows, or None where fewer candidates are distinct.

    `passes` made, and the share of the rows that they looked at.
    """

    centres: NDArray[np.float64] | None
    passes: int
    share: float


class Sampled(NamedTuple):
    """The rows that seeding uses: those with random number below `share`."""

    seed: int
    share: float

    def read(self, item: RowRange, rows: Rows, metric: Metric, skip: bool) -> tuple[NDArray[np.int64], Array]:
        """The usable rows of a range that belong to the sample: indices (g,) and working rows (g, d)."""
        indices, _, X = read_usable(item, rows, metric, skip)
        if self.share == 1:
            return indices, X
        member = row_numbers(self.seed, RowStream.KMEANS_MEMBER, *item)[indices - item[0]] < self.share
        return indices[member], X[member]


def seed_centres(ask: Request, metric: Metric, items: list[RowRange]) -> Start:
    """m starting centres by k-means|| and k-means++."""
    rows, skip, wanted = ask.rows, ask.skip_bad_rows, OVERSAMPLING * ask.count
    candidates = working_rows(first_row(ask).points, metric)
    size = max(SAMPLE_ROWS, SAMPLE_PER_LANDMARK * ask.count)
    sampled = Sampled(ask.seed, size / rows.n if rows.n > SAMPLE_ABOVE * size else 1.0)
    phi = np.inf
    for number in range(ROUNDS):
        common = (rows, candidates, metric, skip, wanted, sampled, number)
        sample = ask.engine.reduce(sample_block, merge_samples, items, *common, done=ask.done)
        candidates = np.concatenate([candidates, sample.X])
        if sample.phi > LEAVES * phi:
            break
        phi = sample.phi
    sizes = ask.engine.reduce(count_block, add_arrays, items, rows, candidates, metric, skip, sampled, done=ask.done)
    random = generator(ask.seed, Stream.KMEANS_CENTRES)
    return Start(plus_plus(candidates.astype(np.float64), sizes, ask.count, random), number + 2, sampled.share)


def sample_block(
    item: RowRange,
    rows: Rows,
    candidates: Array,
    metric: Metric,
    skip: bool,
    wanted: int,
    sampled: Sampled,
    number: int,
) -> Sample:
    """The rows of one block that may become candidates, judged by this block's part of phi."""
    indices, X = sampled.read(item, rows, metric, skip)
    gaps = nearest(X, candidates, metric).gaps
    uniforms = row_numbers(sampled.seed, RowStream.KMEANS_ROWS, *item, number)[indices - item[0]]
    with np.errstate(divide="ignore", invalid="ignore"):
        keys = np.where(gaps > 0, wanted * gaps / uniforms, 0.0)
    return merge_samples([Sample(X, keys, float(gaps.sum()))])


def merge_samples(parts: list[Sample]) -> Sample:
    """Several samples as one: the rows whose keys exceed the phi of all of them together."""
    phi = sum(part.phi for part in parts)
    kept = [part.keys > phi for part in parts]
    X = np.concatenate([part.X[keep] for part, keep in zip(parts, kept, strict=True)])
    return Sample(X, np.concatenate([part.keys[keep] for part, keep in zip(parts, kept, strict=True)]), phi)


def count_block(
    item: RowRange, rows: Rows, candidates: Array, metric: Metric, skip: bool, sampled: Sampled
) -> NDArray[np.float64]:
    """How many rows of one range are nearest to each candidate, (c,) float64."""
    X = sampled.read(item, rows, metric, skip)[1]
    return np.bincount(nearest(X, candidates, metric).which, minlength=len(candidates)).astype(np.float64)

"""The random numbers of a run: each purpose has a stream of the seed to itself, listed here.

Two purposes that shared a stream would draw the same rows: landmarks would be among the rows that quality is measured
on, and look better than they are.
"""

from __future__ import annotations

from enum import IntEnum, unique

import numpy as np
from numpy.typing import NDArray

from landmark_ops.errors import InputError

SEEDS = 1 << 63
DRAWS_PER_STEP = 4  # Philox makes four 64-bit numbers per counter step, one per double

RandomState = int | np.random.RandomState | np.random.Generator | None


@unique
class Stream(IntEnum):
    """The purposes of a seed's random numbers. A value is never reused for another purpose: runs would change."""

    LANDMARKS = 0  # the order in which uniform landmarks are taken
    QUALITY_SAMPLE = 1
    LEVERAGE_CORE = 2
    BLESS = 3
    BLESS_DRAW = 4
    LEVERAGE_THINNED = 5
    KMEANS_CENTRES = 6
    LANDMARKS_LONGER = 7
    PROBE_ROWS = 8
    RPCHOLESKY = 9
    QUALITY_QUERIES = 10
    CLUSTERED_ROWS = 11
    CLUSTER_ORDER = 12
    CLUSTER_STARTS = 13
    COMPARED_ROWS = 14
    COMPARED_PAIRS = 15
    COMPARED_STRESS = 16
    DRAWN_IMAGES = 17
    GRAPH_SUPPORT = 21
    GRAPH_LISTS = 22
    GRAPH_LISTS_STARTS = 23
    GRAPH_RECALL = 24
    GEODESIC_SUPPORT = 25
    FROBENIUS_PAIRS = 201
    GP_SAMPLE = (1 << 20) + 1


@unique
class RowStream(IntEnum):
    """The purposes of the numbers that each row has, independent of ranges; numbers of draws lie between values."""

    LEVERAGE_ROWS = 0
    LEVERAGE_MEMBER = 100
    LEVERAGE_KEPT = 200
    KMEANS_ROWS = 300
    KMEANS_MEMBER = 400
    HELD_OUT = 1 << 20
    RPCHOLESKY_ROWS = 1 << 32
    GREEDY_ROWS = 2 << 32
    GREEDY_PARTITION = 3 << 32


def generator(seed: int, stream: Stream, number: int = 0) -> np.random.Generator:
    """The numbers of a stream, PCG64; `number` tells draws of one kind apart, such as rounds.

    NumPy makes [seed, 0, 0] the same as the bare seed: only `LANDMARKS` may be 0.
    """
    return np.random.Generator(np.random.PCG64([seed, stream, number]))


def derived_seed(seed: int, stream: Stream, number: int = 0, *, bits: int = 63) -> int:
    """A seed below 2^bits for a library that takes one, or for a draw with streams of its own."""
    state = np.random.SeedSequence([seed, stream, number]).generate_state(1, np.uint64)[0]
    return int(state) >> (64 - bits)


def row_numbers(seed: int, stream: RowStream, start: int, stop: int, number: int = 0) -> NDArray[np.float64]:
    """Uniform numbers in [0, 1) of rows start..stop, (stop - start,): row i has the same one however it is reached.

    A counter-based generator (Philox 4x64, Salmon et al. 2011) keyed by (seed, stream): number i is double i % 4 of
    counter step i // 4.
    """
    step, skip = divmod(start, DRAWS_PER_STEP)
    philox = np.random.Philox(key=np.array([seed, stream + number], np.uint64), counter=step)
    return np.random.Generator(philox).random(stop - start + skip)[skip:]


def as_seed(random_state: RandomState) -> int:
    """One seed in 0..2^63 - 1 from what scikit-learn calls a random_state. A generator is advanced by one draw.

    Raises InputError for anything else.
    """
    if isinstance(random_state, np.random.RandomState):
        return int(random_state.randint(0, 2**31 - 1))
    if isinstance(random_state, int | np.integer) and not isinstance(random_state, bool):
        return int(random_state)
    if random_state is not None and not isinstance(random_state, np.random.Generator):
        raise InputError(f"random_state: got {random_state!r}, needs an int, numpy RandomState, Generator or None")
    random = np.random.default_rng() if random_state is None else random_state
    return int(random.integers(SEEDS))

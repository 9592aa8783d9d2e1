"""Random numbers that belong to rows: row i has the same one however it is reached."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

DRAWS_PER_STEP = 4  # Philox makes four 64-bit numbers per counter step, one per double


def row_uniforms(seed: int, stream: int, start: int, stop: int) -> NDArray[np.float64]:
    """Uniform numbers in [0, 1) of rows start..stop, (stop - start,): row i has the same one however it is reached.

    A counter-based generator (Philox 4x64, Salmon et al. 2011) keyed by (seed, stream): number i is double i % 4 of
    counter step i // 4.
    """
    step, skip = divmod(start, DRAWS_PER_STEP)
    philox = np.random.Philox(key=np.array([seed, stream], np.uint64), counter=step)
    return np.random.Generator(philox).random(stop - start + skip)[skip:]

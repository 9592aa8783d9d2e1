"""What a landmark method is to the rest of the project: a solve, and possibly one pass of sums between two halves.

start(Z)                  -> Solution           from the landmarks alone, central, float64
[moments of its map over all rows]              only where `needs_moments`
finish(solution, moments) -> Solution
"""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from landmark_ops.errors import InputError
from landmark_ops.numerics.distances import Array, Metric
from landmark_ops.numerics.landmark_map import LandmarkMap
from landmark_ops.numerics.moments import Moments

F64 = NDArray[np.float64]


class Solution(NamedTuple):
    """A solved method: the map, and what a person wants to know of its spectrum.

    `embedding` (m, k) are the landmarks' own coordinates, `eigenvalues` (k,) those of the kept components,
    `spectrum` all of them, descending; `rank` counts those above `cutoff` times the largest and
    `negative_mass` is sum |negative| / sum |all|, 0 for exactly Euclidean distances or a PSD kernel.
    """

    map: LandmarkMap
    embedding: F64
    eigenvalues: F64
    spectrum: F64
    rank: int
    negative_mass: float
    cutoff: float
    warnings: tuple[str, ...] = ()


class Method(Protocol):
    """One landmark method with its parameters."""

    @property
    def needs_moments(self) -> bool:
        """Whether `finish` needs sums over all rows of the outputs of the started map."""
        ...

    def selection_metric(self) -> Metric:
        """The distance under which landmarks should be spread out."""
        ...

    def start(self, Z: Array, dtype: np.dtype[Any]) -> Solution:
        """Solve from landmarks Z (m, d); `dtype` is the one rows will be computed in (it sets the cutoff)."""
        ...

    def finish(self, solution: Solution, moments: Moments) -> Solution:
        """Complete a solution that needed moments."""
        ...


def check_n_components(n_components: int | None, rank: int, cutoff: float, shape: tuple[int, int], what: str) -> int:
    """The number of components to keep: n_components, or the rank where it is None. InputError above the rank."""
    m, d = shape
    if n_components is None:
        return rank
    if n_components > rank:
        raise InputError(
            f"n_components={n_components} exceeds the numerical rank {rank} of {what} over {m} landmarks with "
            f"{d} feature(s) (cutoff {cutoff:.1e} of the largest eigenvalue): lower n_components or add landmarks"
        )
    return n_components


def duplicate_warning(Z: Array) -> tuple[str, ...]:
    """A warning where landmarks repeat: they cost time and add nothing."""
    distinct = len(np.unique(np.ascontiguousarray(Z), axis=0))
    if distinct == len(Z):
        return ()
    return (
        f"{len(Z) - distinct} of {len(Z)} landmarks repeat another: {distinct} distinct ones carry the map; "
        "deduplicate the source, or use landmarks.strategy: maxmin",
    )

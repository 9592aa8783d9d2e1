"""Sums over all rows of a map's outputs: what kernel PCA, spectral methods and PCA alignment need of the data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from landmark_ops.maps.landmark_map import LandmarkMap
from landmark_ops.maps.parts import Placed
from landmark_ops.numerics.distances import Array

F64 = NDArray[np.float64]
T = TypeVar("T")
# Rows per product: outputs of this many rows are multiplied in their own dtype, then added in float64.
SUM_ROWS = 4096


class Moments(NamedTuple):
    """Sums over `rows` rows of f (k,) and f f^T (k, k); rows that have no coordinates (NaN) are not counted."""

    rows: int
    total: F64  # (k,)
    second: F64  # (k, k)

    @property
    def mean(self) -> F64:
        """Mean of f, (k,)."""
        return self.total / self.rows

    @property
    def covariance(self) -> F64:
        """E f f^T - E f E f^T, (k, k), biased (divided by the count)."""
        return self.second / self.rows - np.outer(self.mean, self.mean)


class Tile(NamedTuple):
    """Up to SUM_ROWS rows as a sum sees them: only those with coordinates under every map asked for.

    placed: one `Placed` per map, (b, k) and (b,). y: (b, t) float64 targets, or None where none were asked for.
    """

    placed: list[Placed]
    y: F64 | None


@dataclass(frozen=True, eq=False)
class Sum(Generic[T]):
    """One pass over all rows: `of` a tile, `add`ed up. Both must pickle: functions of modules, or partials of such.

    `targets`: whether `of` needs y. `name` is what the progress bar calls the pass.
    """

    maps: tuple[LandmarkMap, ...]
    of: Callable[[Tile], T]
    add: Callable[[list[T]], T]
    targets: bool = False
    name: str = "moments"


def first_and_second(tile: Tile) -> Moments:
    """Both moments of the outputs of the first map."""
    F = tile.placed[0].embedding
    return Moments(len(F), total(F), gram(F))


def total(F: Array) -> F64:
    """Sum of F (b, k) over its rows, (k,) float64; Inf where float64 cannot hold it."""
    with np.errstate(over="ignore", invalid="ignore"):
        return np.asarray(F.sum(axis=0, dtype=np.float64))


def gram(F: Array) -> F64:
    """F^T F, (k, k) float64; the product is made in the dtype of F unless float32 overflows."""
    with np.errstate(over="ignore", invalid="ignore"):
        product = (F.T @ F).astype(np.float64)
    if F.dtype == np.float32 and not np.isfinite(product).all():
        return gram(F.astype(np.float64))
    return product


def first_only(tile: Tile) -> Moments:
    """The first moment alone; `second` stays empty, (0, 0)."""
    F = tile.placed[0].embedding
    return Moments(len(F), total(F), np.zeros((0, 0)))


def add_moments(parts: list[Moments]) -> Moments:
    """The moments of several parts together."""
    first, second = parts[0].total.copy(), parts[0].second.copy()
    with np.errstate(over="ignore", invalid="ignore"):
        for part in parts[1:]:
            first += part.total
            second += part.second
    return Moments(sum(part.rows for part in parts), first, second)


def moments(fitted: LandmarkMap) -> Sum[Moments]:
    """Ask for both moments of a map's outputs over all rows."""
    return Sum((fitted,), first_and_second, add_moments)


def totals(fitted: LandmarkMap) -> Sum[Moments]:
    """Ask for the first moment of a map's outputs over all rows."""
    return Sum((fitted,), first_only, add_moments, name="degrees")

"""The interface of a landmark method: a solve from landmarks to a `Solution`.

`asks.py` says how a solve asks for sums over all rows, samples and geodesics.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from dataclasses import replace
from typing import Any, NamedTuple, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from landmark_ops.errors import InputError, Word
from landmark_ops.maps.causes import block_name
from landmark_ops.maps.landmark_map import LandmarkMap
from landmark_ops.maps.moments import Moments
from landmark_ops.maps.tally import landmark_refusal
from landmark_ops.numerics.blocks import Block
from landmark_ops.numerics.callables import Callback, check_callable
from landmark_ops.numerics.distances import Array
from landmark_ops.numerics.kernel import Kernel, KernelChoice, kernel_block
from landmark_ops.numerics.metric import Metric

F64 = NDArray[np.float64]
Probe = Callable[[], Array]

#: Share of a kernel's spectrum that rounding may make negative: above it the kernel is not positive semidefinite.
NEGATIVE_MASS = 1e-6


class Solution(NamedTuple):
    """A solved method: the map, and numbers on its spectrum for the report.

    `embedding` (m, k) are the landmarks' own coordinates, `eigenvalues` (k,) those of the kept components,
    `spectrum` all of them, descending; `rank` counts those above `cutoff` times the largest and
    `negative_mass` is sum |negative| / sum |all|, 0 for exactly Euclidean distances or a PSD kernel.
    `facts` are further numbers for the report, by name. `blocks` is the address of the rows' own blocks (n, m), where
    the map is to be applied to those instead of to the rows (geodesics along the graph).
    """

    map: LandmarkMap
    embedding: F64
    eigenvalues: F64
    spectrum: F64
    rank: int
    negative_mass: float
    cutoff: float
    warnings: tuple[str, ...] = ()
    facts: Mapping[str, float | str] = {}
    blocks: Any = None


class Method(Protocol):
    """One landmark method with its parameters."""

    @property
    def passes(self) -> int:
        """How many passes over all rows `solve` asks for, for plans."""
        ...

    def selection_metric(self, probe: Probe) -> Metric:
        """The distance under which landmarks should be spread out.

        `probe` draws rows (s, d), from which what the user left open is estimated; it is called only where that is so.
        """
        ...

    @property
    def choice(self) -> KernelChoice | None:
        """The kernel, for strategies that select by one; None for methods of distances."""
        ...

    @property
    def metric(self) -> str | Callback | None:
        """The metric between rows, by name or as a function; None for methods that have none."""
        ...

    def with_gamma(self, gamma: float) -> Method:
        """The same method with its kernel's bandwidth fixed, as selection resolved it; itself without a kernel."""
        ...

    def solve(self, Z: Array, dtype: np.dtype[Any]) -> Generator[Any, Any, Solution]:
        """Solve from landmarks Z (m, d); `dtype` is the one rows will be computed in (it sets the cutoff)."""
        ...


DEFAULT_KERNEL = KernelChoice()


class WithoutKernel:
    """Base of methods of distances."""

    choice = None
    metric: str | Callback | None = None  # a field of those that have one

    def with_gamma(self, gamma: float) -> Self:
        """The method itself: there is no bandwidth to fix."""
        return self


class OfKernel:
    """Base of methods with a field `kernel: KernelChoice`."""

    kernel: KernelChoice
    metric = None

    @property
    def choice(self) -> KernelChoice:
        """The kernel."""
        return self.kernel

    def with_gamma(self, gamma: float) -> Self:
        """The same with this bandwidth."""
        return replace(self, kernel=replace(self.kernel, gamma=gamma))  # type: ignore[type-var]

    def selection_metric(self, probe: Probe) -> Metric:
        """That of the kernel."""
        return self.kernel.selection_metric()


def landmark_kernel(kernel: Kernel, Z: F64) -> F64:
    """W = k(Z, Z), (m, m) float64; InputError where it is undefined or vanishes."""
    W = np.asarray(kernel_block(Z, Z, kernel), np.float64)
    if not np.isfinite(W).all():
        raise landmark_refusal(kernel, Z)
    if kernel.fn is not None:
        check_callable(W, kernel.fn, kernel.blockwise, Z, {}, "kernel")
    if not W.any():
        raise InputError(f"kernel {kernel.name}: all its values between the {len(Z)} landmarks are zero")
    return W


def check_sums(summed: Moments, block: Block) -> Moments:
    """Sums over all rows, or InputError where they are beyond float64."""
    if not (np.isfinite(summed.total).all() and np.isfinite(summed.second).all()):
        raise InputError(
            f"{block_name(block)}: sums of products of its values over {summed.rows:,} rows leave float64: scale the "
            "rows by a power of ten, or choose another"
        )
    return summed


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
        f"deduplicate the source, or use {Word.STRATEGY:maxmin}",
    )


def negative_warning(kernel: Kernel, negative_mass: float) -> tuple[str, ...]:
    """A warning where a kernel is not positive semidefinite on the landmarks."""
    if negative_mass <= NEGATIVE_MASS:
        return ()
    return (
        f"kernel {kernel.name} is not positive semidefinite on the landmarks: {negative_mass:.1%} of its spectrum is "
        "negative and was dropped",
    )


def too_alike(block: Block, rows: int) -> InputError:
    """The error for a kernel whose values are so alike that float64 loses what differs when their mean is taken off."""
    narrow = isinstance(block, Kernel) and block.family.never_negative
    remedy = "choose a larger gamma" if narrow else "subtract the mean of the rows first"
    return InputError(
        f"{block_name(block)}: between the {rows:,} rows its values differ by less than float64 resolves beside what "
        f"all have in common: {remedy}"
    )

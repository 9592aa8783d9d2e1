"""Landmark diffusion maps (Roseland): diffusion from row to row by way of the landmarks.

Shen & Wu, "Scalability and robustness of spectral embedding: landmark diffusion is all you need", Information and
Inference 2022. With W (n, m) the kernel between rows and landmarks, the affinity of rows is W W^T, its degrees
D = diag(W W^T 1), and D^-1/2 W = U S V^T. Coordinates after t steps are D^-1/2 U S^2t, and for any row
D(x)^-1 w(x) V S^(2t - 1): the same formula for rows that were there and rows that were not.

alpha normalises the affinity by its density first (Coifman & Lafon 2006): q = W W^T 1, W -> diag(q)^-alpha W. In the
map q^alpha cancels; it enters through the sums.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, replace
from functools import partial
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field, PositiveFloat, PositiveInt

from landmark_ops.errors import InputError
from landmark_ops.maps.landmark_map import LandmarkMap
from landmark_ops.maps.moments import Moments, Sum, Tile, add_moments, gram, totals
from landmark_ops.maps.parts import RowScale
from landmark_ops.numerics.distances import Array
from landmark_ops.numerics.eigen import signs_of, symmetric_eigen
from landmark_ops.numerics.kernel import KernelChoice
from landmark_ops.solver.features import block_map
from landmark_ops.solver.kernel_section import KernelSection
from landmark_ops.solver.method import (
    DEFAULT_KERNEL,
    F64,
    OfKernel,
    Solution,
    check_n_components,
    check_sums,
    duplicate_warning,
    landmark_kernel,
)
from landmark_ops.solver.precomputed import check_precomputed
from landmark_ops.solver.section import METHODS

LEAST = 1e-37  # of powers of eigenvalues: coordinates of less would be lost in float32
DEGREE_FLOOR = 1e-12  # of the mean degree; degrees of a positive kernel are positive, this only guards divisions


@dataclass(frozen=True)
class LandmarkDiffusionMapMethod(OfKernel):
    """Landmark diffusion maps as a `Method`; the trivial constant coordinate is left out."""

    n_components: int
    kernel: KernelChoice = DEFAULT_KERNEL
    t: float = 1.0
    alpha: float = 0.0

    @property
    def passes(self) -> int:
        """Degrees, their density-normalised kind where alpha asks for it, and the second moment."""
        return 3 if self.alpha else 2

    def solve(self, Z: Array, dtype: np.dtype[Any]) -> Generator[Any, Any, Solution]:
        """W^T 1, [W_a^T 1], W_a^T D^-1 W_a, and the m x m eigenproblem.

        W_a^T D^-1 W_a = V S^2 V^T, whose relative cutoff is m eps as the second moment is a sum in `dtype`.

        Raises InputError for alpha outside 0 to 1, and for t not positive or leaving less than float32 holds.
        """
        if not (np.isfinite(self.t) and self.t > 0):
            raise InputError(f"t={self.t}: steps of diffusion must be positive and finite")
        if not 0 <= self.alpha <= 1:
            raise InputError(f"alpha={self.alpha}: the density is taken out to a power of 0 to 1")
        Z64 = np.asarray(Z, np.float64)
        kernel = self.kernel.resolve(Z64)
        if kernel.family.precomputed:
            check_precomputed(Z64, "kernel")
        landmark_kernel(kernel, Z64)
        m = len(Z)
        affinities = block_map(LandmarkMap(Z, kernel, np.eye(m), np.zeros(m), None))
        first: Moments = yield totals(affinities)
        check_sums(first, kernel)
        density = degrees = first.total
        if self.alpha:
            normalised: Moments = yield Sum((affinities,), partial(density_total, density, self.alpha), add_moments)
            degrees = check_sums(normalised, kernel).total
        second: Moments = yield Sum((affinities,), partial(diffused, density, degrees, self.alpha), add_moments)
        spectrum = symmetric_eigen(check_sums(second, kernel).second)
        cutoff = m * float(np.finfo(dtype).eps)
        rank = spectrum.rank(cutoff)
        k = check_n_components(
            self.n_components, rank - 1, cutoff, (m, Z.shape[1]), "the diffusion operator beside its constant one"
        )
        values, vectors = spectrum.values[1 : k + 1], spectrum.vectors[:, 1 : k + 1]
        with np.errstate(under="ignore"):
            powers = values**self.t
        if not powers[-1] >= LEAST:
            raise InputError(
                f"t={self.t:g}: of component {k} with eigenvalue {values[-1]:.3g} as many steps leave less than "
                "float32 holds: lower t or n_components"
            )
        readout = vectors * values ** (self.t - 0.5)  # S^(2t - 1), the values being S^2
        mean_degree = float(degrees @ first.total) / first.rows
        scale = RowScale(degrees, -1.0, DEGREE_FLOOR * mean_degree)
        fitted = LandmarkMap(Z, kernel, readout, np.zeros(k), None, scale=scale)
        readout = readout * signs_of(fitted(Z64))
        fitted = replace(fitted, readout=readout)
        return Solution(
            fitted, fitted(Z64), values, spectrum.values, rank, 0.0, cutoff, duplicate_warning(Z), {"steps t": self.t}
        )


@METHODS.register
class LandmarkDiffusionMapConfig(KernelSection):
    """Landmark diffusion maps (Roseland)."""

    title = "Landmark diffusion map"
    spectrum_of = "the diffusion operator"
    solver = LandmarkDiffusionMapMethod

    name: Literal["landmark_diffusion_map"]
    n_components: PositiveInt = 10
    t: PositiveFloat = 1.0
    alpha: Annotated[float, Field(ge=0, le=1)] = 0.0


def density_total(density: F64, alpha: float, tile: Tile) -> Moments:
    """Sum over rows of w(x) q(x)^-alpha, (m,), with q(x) = w(x).density."""
    W = np.asarray(tile.placed[0].embedding, np.float64)
    with np.errstate(all="ignore"):  # overflow is refused
        return Moments(len(W), (W @ density) ** -alpha @ W, np.zeros((0, 0)))


def diffused(density: F64, degrees: F64, alpha: float, tile: Tile) -> Moments:
    """Sum over rows of w(x) w(x)^T q(x)^-alpha / (w(x).degrees), (m, m): W_a^T D^-1 W_a."""
    W = tile.placed[0].embedding
    with np.errstate(all="ignore"):  # overflow is refused
        weights = 1 / (W @ degrees.astype(W.dtype))
        if alpha:
            weights *= (W @ density.astype(W.dtype)) ** -alpha
        scaled = W * np.sqrt(weights)[:, None]
        return Moments(len(W), np.zeros(0), gram(scaled))

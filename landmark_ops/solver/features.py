"""Nystrom features, in which kernel methods are solved and the error of a kernel's landmarks is measured."""

from __future__ import annotations

from typing import Any

import numpy as np

from landmark_ops.errors import InputError
from landmark_ops.maps.evaluation import working_dtype
from landmark_ops.maps.landmark_map import LandmarkMap
from landmark_ops.maps.precision import rounds_blocks
from landmark_ops.numerics.blocks import collapse_transform
from landmark_ops.numerics.distances import Array
from landmark_ops.numerics.eigen import symmetric_eigen
from landmark_ops.numerics.kernel import KernelChoice
from landmark_ops.solver.method import (
    Solution,
    check_n_components,
    duplicate_warning,
    landmark_kernel,
    negative_warning,
)
from landmark_ops.solver.precomputed import check_precomputed


def nystrom_features(
    choice: KernelChoice, Z: Array, dtype: np.dtype[Any], n_components: int | None = None, *, scaled: bool = False
) -> Solution:
    """Eigendecompose W = k(Z, Z) = V L V^T; features f(x) = k(x, Z) V L^-1/2, so f(x).f(y) = c_x W^+ c_y^T.

    Z (m, d) are the landmarks; n_components None keeps all that the rank allows. Directions with an eigenvalue below
    `least_cutoff` of the largest are dropped, and of blocks that are rounded to `dtype` float32 those below
    m * eps(float32), as the rounding would be magnified there by one over the root of the eigenvalue: an absolute
    cutoff instead makes float32 errors grow with m. `scaled`: the features will be divided by their degrees, and do
    not fold with a linear kernel.

    Raises InputError for kernels that are undefined or vanish between the landmarks, and more components than rank.
    Williams & Seeger, "Using the Nystrom method to speed up kernel machines", NIPS 2000.
    """
    Z64 = np.asarray(Z, np.float64)
    kernel = choice.resolve(Z64)
    given = kernel.family.precomputed
    if given:
        check_precomputed(Z64, "kernel")
    W = landmark_kernel(kernel, Z64)
    spectrum = symmetric_eigen(W)
    # k(x, x) is not among precomputed values: no residual
    weights = None if given else np.zeros(len(Z))

    def features(k: int) -> LandmarkMap:
        readout = spectrum.vectors[:, :k] / np.sqrt(spectrum.values[:k])
        return LandmarkMap(Z, kernel, readout, np.zeros(k), weights, self_term=not given)

    cutoff, least = len(Z) * float(np.finfo(dtype).eps), least_cutoff(len(Z), dtype)
    rank, full = spectrum.rank(cutoff), spectrum.rank(least)
    if rank < full and not (scaled and collapse_transform(kernel)) and not rounds_blocks(features(full)):
        cutoff, rank = least, full
    if rank == 0:
        raise InputError(f"kernel {kernel.name}: no eigenvalue between the {len(Z)} landmarks is positive")
    k = check_n_components(n_components, rank, cutoff, (len(Z), Z.shape[1]), f"the {kernel.name} kernel")
    values, vectors = spectrum.values[:k], spectrum.vectors[:, :k]
    warnings = duplicate_warning(Z) + negative_warning(kernel, spectrum.negative_mass)
    return Solution(
        features(k), vectors * np.sqrt(values), values, spectrum.values, rank, spectrum.negative_mass, cutoff, warnings
    )


def least_cutoff(m: int, dtype: np.dtype[Any]) -> float:
    """Of the largest eigenvalue between m landmarks, what is rounding even where nothing of them is rounded any more.

    Landmarks that are float32 were rounded when they were stored, by up to half of its eps: directions that only this
    has made have eigenvalues of the order of eps squared (3e-16 to 4e-14 measured on rows of rank 4, the larger ones
    where an offset was taken off them in float32).
    """
    stored = 4 * float(np.finfo(np.float32).eps) ** 2 if dtype == np.float32 else 0.0
    return max(m * float(np.finfo(np.float64).eps), stored)


def sums_cutoff(fitted: LandmarkMap, dtype: np.dtype[Any]) -> float:
    """The relative rounding of eigenvalues of products of a map's outputs, summed over rows."""
    return fitted.n_landmarks * float(np.finfo(working_dtype(fitted, dtype)).eps)


def kept_directions(features: Solution) -> dict[str, float | str]:
    """A fact where rows in float32 keep fewer directions than they would in float64; empty where they keep all.

    A fact and no warning: most smooth kernels of float32 rows lose some, and the first components hardly move.
    """
    spectrum = features.spectrum
    full = int((spectrum > least_cutoff(features.map.n_landmarks, np.dtype(np.float32)) * spectrum[0]).sum())
    if features.rank >= full:
        return {}
    return {
        "directions between landmarks": f"{features.rank:,} of {full:,} kept: in float32 the others, below "
        f"{features.cutoff:.1e} of the largest eigenvalue, are rounding; rows stored as float64 keep all"
    }


def block_map(fitted: LandmarkMap) -> LandmarkMap:
    """The map whose outputs are the block itself, (b, m)."""
    m = fitted.n_landmarks
    return LandmarkMap(fitted.landmarks, fitted.block, np.eye(m), np.zeros(m), None)

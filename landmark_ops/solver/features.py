"""Nystrom features: what kernel methods are solved in, and what the error of a kernel's landmarks is measured on."""

from __future__ import annotations

from typing import Any

import numpy as np

from landmark_ops.errors import InputError
from landmark_ops.maps.landmark_map import LandmarkMap
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


def nystrom_features(choice: KernelChoice, Z: Array, dtype: np.dtype[Any], n_components: int | None = None) -> Solution:
    """Eigendecompose W = k(Z, Z) = V L V^T; features f(x) = k(x, Z) V L^-1/2, so f(x).f(y) = c_x W^+ c_y^T.

    Z (m, d) are the landmarks; n_components None keeps all that the rank allows. Directions with an eigenvalue below
    m * eps(dtype) of the largest are dropped: the block computed in `dtype` is noise there, and an absolute cutoff
    instead makes float32 errors grow with m.

    Raises InputError for kernels that are undefined or vanish between the landmarks, and more components than rank.
    Williams & Seeger, "Using the Nystrom method to speed up kernel machines", NIPS 2000.
    """
    Z64 = np.asarray(Z, np.float64)
    kernel = choice.resolve(Z64)
    given = kernel.family.precomputed
    if given:
        check_precomputed(Z64, "kernel")
    W = landmark_kernel(kernel, Z64)
    cutoff = len(Z) * float(np.finfo(dtype).eps)
    spectrum = symmetric_eigen(W)
    rank = spectrum.rank(cutoff)
    if rank == 0:
        raise InputError(f"kernel {kernel.name}: no eigenvalue between the {len(Z)} landmarks is positive")
    k = check_n_components(n_components, rank, cutoff, (len(Z), Z.shape[1]), f"the {kernel.name} kernel")
    values, vectors = spectrum.values[:k], spectrum.vectors[:, :k]
    # k(x, x) is not among precomputed values: no residual
    weights = None if given else np.zeros(len(Z))
    fitted = LandmarkMap(Z, kernel, vectors / np.sqrt(values), np.zeros(k), weights, self_term=not given)
    warnings = duplicate_warning(Z) + negative_warning(kernel, spectrum.negative_mass)
    return Solution(
        fitted, vectors * np.sqrt(values), values, spectrum.values, rank, spectrum.negative_mass, cutoff, warnings
    )


def block_map(fitted: LandmarkMap) -> LandmarkMap:
    """The map whose outputs are the block itself, (b, m)."""
    m = fitted.n_landmarks
    return LandmarkMap(fitted.landmarks, fitted.block, np.eye(m), np.zeros(m), None)

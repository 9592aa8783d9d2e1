"""Nystrom kernel PCA: principal components of the Nystrom features over all rows.

With every row a landmark it is kernel PCA (Schoelkopf, Smola & Mueller 1998). The mean is that of all n rows, fixed
at fit: recentring on whatever batch is transformed, as some implementations do, makes results depend on the batch.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from pydantic import PositiveInt

from landmark_ops.errors import InputError
from landmark_ops.maps.landmark_map import LandmarkMap
from landmark_ops.maps.moments import Moments, moments
from landmark_ops.numerics.distances import Array
from landmark_ops.numerics.eigen import symmetric_eigen
from landmark_ops.numerics.kernel import KernelChoice
from landmark_ops.solver.features import kept_directions, nystrom_features, sums_cutoff
from landmark_ops.solver.kernel_section import KernelSection
from landmark_ops.solver.method import DEFAULT_KERNEL, OfKernel, Solution, check_n_components, check_sums, too_alike
from landmark_ops.solver.section import METHODS

# Centring subtracts the square of the mean feature: what it exceeds the largest variance by is lost in rounding. Up to
# these factors coordinates keep 1e-5 of the largest; linear kernels of rows far from the origin, and kernels that are
# nearly constant, lie beyond.
CENTRED = {np.dtype(np.float32): 300.0, np.dtype(np.float64): 4e10}


@dataclass(frozen=True)
class NystroemKernelPCAMethod(OfKernel):
    """Nystrom kernel PCA as a `Method`: full Nystrom features, their moments, an r x r eigenproblem."""

    n_components: int
    kernel: KernelChoice = DEFAULT_KERNEL

    passes = 1

    def solve(self, Z: Array, dtype: np.dtype[Any]) -> Generator[Any, Any, Solution]:
        """Features, one pass for their moments, and the principal components.

        Where centring would leave too few digits of float32, once more in float64.
        """
        started = self.start(Z, dtype)
        summed = check_sums((yield moments(started.map)), started.map.block)
        if dtype != np.float64 and offset_ratio(summed) > CENTRED[np.dtype(np.float32)]:
            started = self.start(Z, np.dtype(np.float64))
            started = started._replace(map=replace(started.map, double=True))
            summed = check_sums((yield moments(started.map)), started.map.block)
        return self.finish(started, summed, dtype)

    def start(self, Z: Array, dtype: np.dtype[Any]) -> Solution:
        """The Nystrom features at full rank."""
        features = nystrom_features(self.kernel, Z, dtype)
        return features._replace(facts=kept_directions(features))

    def finish(self, solution: Solution, moments: Moments, dtype: np.dtype[Any]) -> Solution:
        """Scores (f(x) - mean f)^T v for the top eigenvectors v of the features' covariance over all rows.

        Eigenvalues are variances, those of scikit-learn's KernelPCA divided by n. The residual becomes the squared
        feature-space distance from the mean that k components leave: k(x,x) - 2 f.mean + |mean|^2 - |score|^2.
        `dtype`: of the rows that the moments are sums over.
        """
        features = solution.map
        spectrum = symmetric_eigen(moments.covariance)
        cutoff = sums_cutoff(features, dtype)
        shape = (features.n_landmarks, features.n_features)
        refuse_offset(spectrum.values[0], moments, features)
        # A remainder of the mean, left by rounding, is no component.
        rounding = 4 * cutoff / features.n_landmarks * float(moments.mean @ moments.mean)
        floor = cutoff * spectrum.values[0] + rounding
        rank = int((spectrum.values > floor).sum())
        k = check_n_components(self.n_components, rank, cutoff, shape, "the centred kernel")
        vectors = spectrum.vectors[:, :k]
        mean = moments.mean
        fitted = LandmarkMap(
            features.landmarks,
            features.block,
            features.readout @ vectors,
            -mean @ vectors,
            residual_weights=-2 * features.readout @ mean if features.self_term else None,
            residual_offset=float(mean @ mean),
            self_term=features.self_term,
            double=features.double,
        )
        return solution._replace(
            map=fitted,
            embedding=(solution.embedding - mean) @ vectors,
            eigenvalues=spectrum.values[:k],
            spectrum=spectrum.values,
            rank=rank,
            cutoff=cutoff,
        )


@METHODS.register
class NystroemKernelPCAConfig(KernelSection):
    """Nystrom kernel PCA."""

    title = "Nystrom kernel PCA"
    spectrum_of = "the features' covariance"
    solver = NystroemKernelPCAMethod

    name: Literal["nystroem_kernel_pca"]
    n_components: PositiveInt = 10


def offset_ratio(summed: Moments) -> float:
    """By what factor the squared mean of the features exceeds their largest variance; Inf where there is none."""
    squared = float(summed.mean @ summed.mean)
    top = float(symmetric_eigen(summed.covariance).values[0])
    return squared / top if top > 0 else float("inf")


def refuse_offset(top: float, summed: Moments, features: LandmarkMap) -> None:
    """InputError where float64 does not tell the largest variance `top` of the features from rounding of their mean."""
    squared = float(summed.mean @ summed.mean)
    if top > 0 and squared <= CENTRED[np.dtype(np.float64)] * top:
        return
    Z = features.landmarks
    if (Z[0] == Z).all():
        raise InputError(
            f"all {len(Z)} landmarks are identical: the data is constant, there is nothing to embed; check the source "
            "and its array or columns"
        )
    raise too_alike(features.block, summed.rows)

"""The leading eigenvectors of a kernel's normalised affinity over all rows, from features of the landmarks."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace
from typing import Any

import numpy as np

from landmark_ops.errors import InputError
from landmark_ops.maps.landmark_map import LandmarkMap
from landmark_ops.maps.moments import Moments, moments, totals
from landmark_ops.maps.parts import RowScale
from landmark_ops.numerics.distances import Array
from landmark_ops.numerics.eigen import signs_of, symmetric_eigen
from landmark_ops.numerics.kernel import KernelChoice
from landmark_ops.solver.features import block_map, kept_directions, nystrom_features, sums_cutoff
from landmark_ops.solver.method import F64, Solution, check_n_components, check_sums

DEGREE_FLOOR = 1e-6  # of the mean degree: Nystrom degrees of rows far from all others may come out negative
DISCONNECTED = 1e-6  # an eigenvalue within this of 1 says that clusters do not touch
PASSES = 2


def affinity_eigenvectors(
    kernel: KernelChoice, n_components: int, Z: Array, dtype: np.dtype[Any], *, trivial: bool
) -> Generator[Any, Any, Solution]:
    """Solve from landmarks Z (m, d): each row's entries in eigenvectors 2 to k + 1, of unit norm over all rows.

    `trivial`: in eigenvectors 1 to k instead. Two passes: one for the sum of the features, hence degrees; one for the
    second moment of the scaled features.
    """
    started = nystrom_features(kernel, Z, dtype, scaled=True)
    # The sum of the features is that of the blocks times the readout: the product need not be made per row.
    summed: Moments = yield totals(block_map(started.map))
    total = started.map.readout.T @ check_sums(summed, started.map.block).total
    scaled = scaled_features(started.map, total, summed.rows)
    second: Moments = yield moments(scaled)
    cutoff = sums_cutoff(scaled, dtype)
    spectrum = symmetric_eigen(check_sums(second, scaled.block).second)
    m, d = started.map.n_landmarks, started.map.n_features
    rank = spectrum.rank(cutoff)
    skip = 0 if trivial else 1
    what = "the normalised affinity" + (" beside its trivial eigenvector" if skip else "")
    k = check_n_components(n_components, rank - skip, cutoff, (m, d), what)
    kept = slice(skip, skip + k)
    values = spectrum.values[kept]
    rotation = spectrum.vectors[:, kept] / np.sqrt(values)
    rotation *= signs_of(scaled(np.asarray(scaled.landmarks, np.float64)) @ rotation)
    fitted = replace(scaled, readout=scaled.readout @ rotation, offset=np.zeros(k))
    touching = int((spectrum.values[: skip + k] > 1 - DISCONNECTED).sum())
    warnings = started.warnings
    if touching > 1:
        warnings += (
            f"{touching} eigenvalues of the normalised affinity are 1 to rounding: the kernel sees {touching} "
            "groups of rows that do not touch; a smaller gamma makes them one graph",
        )
    return started._replace(
        map=fitted,
        embedding=fitted(np.asarray(fitted.landmarks, np.float64)),
        eigenvalues=values,
        spectrum=spectrum.values,
        rank=rank,
        cutoff=cutoff,
        warnings=warnings,
        facts=kept_directions(started),
    )


def scaled_features(features: LandmarkMap, total: F64, rows: int) -> LandmarkMap:
    """F~ = D^-1/2 F with d(x) = f(x).total: features over the square root of their degree.

    Raises InputError where a landmark, whose kernel values the features reproduce exactly, has no positive degree.
    """
    mean_degree = float(total @ total) / rows
    degrees = features(np.asarray(features.landmarks, np.float64)) @ total
    wrong = int((degrees <= DEGREE_FLOOR * np.abs(degrees).max()).sum())
    if wrong:
        raise InputError(
            f"kernel {features.block.name}: {wrong} of {len(degrees)} landmarks have no positive degree (sum of kernel "
            f"values with all {rows:,} rows), the least is {degrees.min():.3g}: spectral methods need an affinity that "
            "is not negative: use rbf, laplacian or matern, or a smaller gamma"
        )
    scale = RowScale(features.readout @ total, -0.5, DEGREE_FLOOR * mean_degree)
    return replace(features, residual_weights=None, self_term=False, scale=scale)

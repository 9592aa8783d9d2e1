"""Classical scaling of the landmarks by their distances, of whatever kind, and the map that extends it to any row."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from landmark_ops.errors import InputError
from landmark_ops.maps.landmark_map import LandmarkMap
from landmark_ops.maps.tally import landmark_refusal
from landmark_ops.numerics.blocks import Block
from landmark_ops.numerics.callables import Callback, check_callable
from landmark_ops.numerics.distances import Array
from landmark_ops.numerics.eigen import double_center, symmetric_eigen
from landmark_ops.numerics.metric import resolve_metric, sq_dists
from landmark_ops.solver.method import F64, Solution, check_n_components, duplicate_warning
from landmark_ops.solver.precomputed import check_precomputed

RANK_CUTOFF = 1e-10  # of the largest eigenvalue; float32 input leaves noise near 1e-14 of it


def scale_rows(
    Z: Array, n_components: int, metric: str | Callback = "euclidean", metric_params: Mapping[str, Any] | None = None
) -> Solution:
    """Classical scaling of landmarks Z (m, d) by their distances under a metric.

    Raises InputError for distances that are undefined or all 0, and for more components than their rank.
    """
    Z64 = np.asarray(Z, np.float64)
    resolved = resolve_metric(metric, metric_params, Z64)
    if resolved.family.precomputed:
        check_precomputed(Z64)
    D = np.asarray(sq_dists(Z64, Z64, resolved), np.float64)
    if resolved.fn is not None:
        check_callable(np.sqrt(D), resolved.fn, resolved.blockwise, Z64, resolved.params, "metric")
    if not np.isfinite(D).all():
        raise landmark_refusal(resolved, Z64)
    if not (D > 0).any() and resolved.transform == "none" and (Z64[0] != Z64).any():
        raise InputError(
            f"metric {resolved.name}: the landmarks lie so near each other that squares of their distances are 0 in "
            "float64: multiply the rows by a power of ten"
        )
    if not (D > 0).any():
        raise InputError(
            f"all {len(Z)} landmarks are identical under {resolved.name}: the data is constant, there is nothing "
            "to embed; check the source and its array or columns"
        )
    return scale_landmarks(D, Z, resolved, n_components)


def scale_landmarks(D: F64, Z: Array, block: Block, n_components: int) -> Solution:
    """Classical scaling of squared distances D (m, m) between landmarks Z (m, d), and the map that extends it.

    With mu the row means of D and B = -1/2 (D - mu 1^T - 1 mu^T + mean): B = V L V^T, landmark coordinates V L^1/2,
    and x |-> -1/2 L^-1/2 V^T (d_x - mu). Each column of V is orthogonal to 1 because B 1 = 0 (exactly so only to
    rounding: enforced, the collapse rests on it). `block` is what gives d_x for a row.
    """
    spectrum = symmetric_eigen(double_center((D + D.T) / 2))
    rank = spectrum.rank(RANK_CUTOFF)
    k = check_n_components(n_components, rank, RANK_CUTOFF, (len(Z), Z.shape[1]), "the centred distances")
    values = spectrum.values[:k]
    vectors = spectrum.vectors[:, :k] - spectrum.vectors[:, :k].mean(axis=0)
    readout = -0.5 * vectors / np.sqrt(values)
    mu = D.mean(axis=0)
    fitted = LandmarkMap(
        Z,
        block,
        readout,
        -mu @ readout,
        residual_weights=np.full(len(Z), 1 / len(Z)),
        residual_offset=-0.5 * float(mu.mean()),
    )
    return Solution(
        fitted,
        vectors * np.sqrt(values),
        values,
        spectrum.values,
        rank,
        spectrum.negative_mass,
        RANK_CUTOFF,
        duplicate_warning(Z),
    )

"""Landmark MDS: classical scaling of the landmarks, every other row placed by its distances to them.

de Silva & Tenenbaum, "Sparse multidimensional scaling using landmark points", Stanford 2004.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from landmark_ops.errors import InputError, Word
from landmark_ops.maps.landmark_map import LandmarkMap
from landmark_ops.maps.moments import Moments, moments
from landmark_ops.maps.undefined import landmark_refusal
from landmark_ops.methods.method import (
    F64,
    KernelChoice,
    Probe,
    Solution,
    check_n_components,
    check_sums,
    duplicate_warning,
)
from landmark_ops.numerics.blocks import Block
from landmark_ops.numerics.callables import check_callable
from landmark_ops.numerics.distances import (
    EUCLIDEAN_FAMILY,
    Array,
    Callback,
    Metric,
    canonical,
    resolve_metric,
    sq_dists,
)
from landmark_ops.numerics.eigen import double_center, fix_signs, symmetric_eigen

RANK_CUTOFF = 1e-10  # of the largest eigenvalue; float32 input leaves noise near 1e-14 of it


@dataclass(frozen=True)
class LandmarkMDSMethod:
    """Landmark MDS as a `Method`."""

    n_components: int = 2
    metric: str | Callback = "euclidean"
    metric_params: Mapping[str, Any] | None = None
    align: bool = False

    choice: KernelChoice | None = None

    @property
    def passes(self) -> int:
        """Only the final PCA alignment looks at all rows."""
        return int(self.align)

    def with_gamma(self, gamma: float) -> LandmarkMDSMethod:
        """No kernel, nothing to fix."""
        return self

    def selection_metric(self, probe: Probe) -> Metric:
        """The metric itself, V and VI estimated from `probe` where they are left out."""
        if self.metric == "precomputed":
            raise InputError(
                f"metric precomputed: rows are distances to landmarks that are chosen already: use {Word.GIVEN_ROWS}, "
                "in the order of the columns"
            )
        return metric_before_landmarks(self.metric, self.metric_params, probe)

    def solve(self, Z: Array, dtype: np.dtype[Any]) -> Generator[Any, Any, Solution]:
        """Scale the landmarks, and turn everything onto the axes of all rows if asked to."""
        started = self.start(Z, dtype)
        if not self.align:
            return started
        return self.finish(started, (yield moments(started.map)))

    def start(self, Z: Array, dtype: np.dtype[Any]) -> Solution:
        """Classical scaling of the landmarks."""
        Z64 = np.asarray(Z, np.float64)
        metric = resolve_metric(self.metric, self.metric_params, Z64)
        if metric.name == "precomputed":
            check_precomputed(Z64)
        D = np.asarray(sq_dists(Z64, Z64, metric), np.float64)
        if metric.fn is not None:
            check_callable(np.sqrt(D), metric.fn, metric.blockwise, Z64, metric.params, "metric")
        if not np.isfinite(D).all():
            raise landmark_refusal(metric, Z64)
        if not (D > 0).any() and metric.transform == "none" and (Z64[0] != Z64).any():
            raise InputError(
                f"metric {metric.name}: the landmarks lie so near each other that squares of their distances are 0 in "
                "float64: multiply the rows by a power of ten"
            )
        if not (D > 0).any():
            raise InputError(
                f"all {len(Z)} landmarks are identical under {metric.name}: the data is constant, there is nothing "
                "to embed; check the source and its array or columns"
            )
        return scale_landmarks(D, Z, metric, self.n_components)

    def finish(self, solution: Solution, moments: Moments) -> Solution:
        """Rotate onto the principal axes of all rows, centred on their mean; distances do not change.

        Eigenvalues become the variances of all rows along the new axes.
        """
        axes = symmetric_eigen(check_sums(moments, solution.map.block).covariance)
        rotation = fix_signs(axes.vectors)
        embedding = (solution.embedding - moments.mean) @ rotation
        return solution._replace(
            map=solution.map.rotated(rotation, moments.mean), embedding=embedding, eigenvalues=axes.values
        )


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


def metric_before_landmarks(metric: str | Callback, params: Mapping[str, Any] | None, probe: Probe) -> Metric:
    """A metric as strategies see it that measure distances before there are landmarks.

    Its parameters are checked, estimated or the kind of a callable found on rows of the data's own width.
    """
    if not callable(metric) and canonical(metric) in EUCLIDEAN_FAMILY and not params:
        return Metric(canonical(metric))
    return resolve_metric(metric, params, probe())


def check_precomputed(D: F64, what: str = "distances") -> None:
    """InputError unless D, the rows of the landmarks themselves, is a square symmetric block; distances also >= 0."""
    m = len(D)
    if D.shape != (m, m):
        raise InputError(
            f"precomputed {what}: rows hold {D.shape[1]} values for {m} landmarks: one per landmark is needed, in the "
            f"order of {Word.ROW_NUMBERS}"
        )
    asymmetry = float(np.abs(D - D.T).max())
    if not asymmetry <= 1e-5 * float(np.abs(D).max()):
        i, j = np.unravel_index(np.abs(D - D.T).argmax(), D.shape)
        raise InputError(
            f"precomputed {what}: the landmarks' own block is not symmetric, entry ({i}, {j}) differs from ({j}, {i}) "
            f"by {asymmetry:.3g}: give {Word.ROW_NUMBERS} in the order of the columns, or symmetrise the block"
        )
    if what == "distances" and (D.min() < 0 or np.abs(np.diagonal(D)).max() > 1e-5 * D.max()):
        raise InputError(
            "precomputed distances: the landmarks' own block needs a zero diagonal and no negative entry, got a "
            f"diagonal up to {np.abs(np.diagonal(D)).max():.3g} and a least entry of {D.min():.3g}: are these "
            "similarities? use a Nystrom method with kernel: precomputed"
        )

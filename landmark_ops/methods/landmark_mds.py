"""Landmark MDS: classical scaling of the landmarks, every other row placed by its distances to them.

de Silva & Tenenbaum, "Sparse multidimensional scaling using landmark points", Stanford 2004.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from landmark_ops.errors import InputError
from landmark_ops.methods.method import Solution, check_n_components, duplicate_warning
from landmark_ops.numerics.distances import Array, Callback, Metric, resolve_metric, sq_dists
from landmark_ops.numerics.eigen import double_center, fix_signs, symmetric_eigen
from landmark_ops.numerics.landmark_map import LandmarkMap
from landmark_ops.numerics.moments import Moments

RANK_CUTOFF = 1e-10  # of the largest eigenvalue; float32 input leaves noise near 1e-14 of it


@dataclass(frozen=True)
class LandmarkMDSMethod:
    """Landmark MDS as a `Method`."""

    n_components: int = 2
    metric: str | Callback = "euclidean"
    metric_params: Mapping[str, Any] | None = None
    align: bool = False

    @property
    def needs_moments(self) -> bool:
        """Only the final PCA alignment looks at all rows."""
        return self.align

    def selection_metric(self) -> Metric:
        """The metric itself; V and VI cannot be estimated before there are landmarks and must be given."""
        if self.metric in ("seuclidean", "mahalanobis") and not self.metric_params:
            key = "V" if self.metric == "seuclidean" else "VI"
            raise InputError(
                f"metric {self.metric}: this selection strategy measures distances before there are landmarks to "
                f"estimate {key} from: give metric_params.{key}, or use landmarks.strategy: uniform"
            )
        return resolve_metric(self.metric, self.metric_params, np.zeros((1, 2)))

    def start(self, Z: Array, dtype: np.dtype[Any]) -> Solution:
        """Classical scaling of the landmarks.

        With D (m, m) squared distances, mu its row means and B = -1/2 (D - mu 1^T - 1 mu^T + mean): B = V L V^T,
        landmark coordinates V L^1/2, and x |-> -1/2 L^-1/2 V^T (d_x - mu). Each column of V is orthogonal to 1
        because B 1 = 0 (exactly so only to rounding: enforced, the collapse rests on it).
        """
        Z64 = np.asarray(Z, np.float64)
        metric = resolve_metric(self.metric, self.metric_params, Z64)
        D = np.asarray(sq_dists(Z64, Z64, metric), np.float64)
        if not np.isfinite(D).all():
            bad = sum(not np.isfinite(sq_dists(z[None], z[None], metric)).all() for z in Z64)
            raise InputError(
                f"metric {metric.name}: undefined on {bad} of {len(Z)} landmarks (zero rows have no direction under "
                "cosine and correlation): remove such rows, or choose another metric"
            )
        if not (D > 0).any():
            raise InputError(
                f"all {len(Z)} landmarks are identical under {metric.name}: the data is constant, there is nothing "
                "to embed; check the source and its array or columns"
            )
        spectrum = symmetric_eigen(double_center((D + D.T) / 2))
        rank = spectrum.rank(RANK_CUTOFF)
        k = check_n_components(self.n_components, rank, RANK_CUTOFF, (len(Z), Z.shape[1]), "the centred distances")
        values = spectrum.values[:k]
        vectors = spectrum.vectors[:, :k] - spectrum.vectors[:, :k].mean(axis=0)
        readout = -0.5 * vectors / np.sqrt(values)
        mu = D.mean(axis=0)
        fitted = LandmarkMap(
            Z,
            metric,
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

    def finish(self, solution: Solution, moments: Moments) -> Solution:
        """Rotate onto the principal axes of all rows, centred on their mean; distances do not change.

        Eigenvalues become the variances of all rows along the new axes.
        """
        axes = symmetric_eigen(moments.covariance)
        rotation = fix_signs(axes.vectors)
        embedding = (solution.embedding - moments.mean) @ rotation
        return solution._replace(
            map=solution.map.rotated(rotation, moments.mean), embedding=embedding, eigenvalues=axes.values
        )

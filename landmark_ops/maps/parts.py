"""The parts of a landmark map: arrays and parameters, no code. `LandmarkMap` is these parts with its methods.

block    (b, m) = distances, kernel, geodesics or weights of rows against the landmarks
out      (b, k) = (block @ readout + offset) * (block @ scale.weights)^scale.power, rows to unit length if asked
residual (b,)   = self_term k(x, x) + block @ residual_weights + residual_offset - |out|^2
or, with a spread, self_term k(x, x) + sign |block @ factor|^2: the variance of a Gaussian process
outputs         = what the head reads off: labels, prediction and std, classes
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from landmark_ops.maps.heads import Head
from landmark_ops.numerics.blocks import Block
from landmark_ops.numerics.distances import Array

F64 = NDArray[np.float64]


class Placed(NamedTuple):
    """Rows placed by a map: coordinates (b, k) and what they leave unexplained, residual (b,), NaN if undefined."""

    embedding: Array
    residual: Array


@dataclass(frozen=True, eq=False)
class RowScale:
    """Each row's coordinates times (block @ weights)^power, with weights (m,): division by a power of its degree.

    A degree of 0 or less is taken as `floor`: a Nystrom degree may be negative by approximation. Positive ones below it
    are computed in float64. A row whose whole block vanishes has no degree, and no coordinates.
    """

    weights: F64
    power: float
    floor: float


@dataclass(frozen=True, eq=False)
class Spread:
    """The residual as sign |block @ factor|^2 with factor (m, r), besides the self term."""

    factor: F64
    sign: float = -1.0


@dataclass(frozen=True, eq=False)
class MapParts:
    """The parts of a map from rows (b, d) to coordinates (b, k).

    Attributes
    ----------
    landmarks
        (m, d), as selected.
    block
        What is between rows and landmarks: a `Metric` (squared dissimilarities), `Kernel`, `Geodesic` or `Weights`.
    readout, offset
        (m, k) and (k,), float64.
    residual_weights, residual_offset, self_term
        The residual formula above; for LMDS it is mean(d_x) - mean(D)/2 - |y|^2, for Nystrom k(x, x) - |f(x)|^2.
        residual_weights None: the residual is undefined, NaN.
    scale, unit_rows, spread, head
        The optional parts above.
    double
        Compute in float64 whatever the rows are: variances are small differences.
    """

    landmarks: Array
    block: Block
    readout: F64
    offset: F64
    residual_weights: F64 | None
    residual_offset: float = 0.0
    self_term: bool = False
    scale: RowScale | None = None
    unit_rows: bool = False
    spread: Spread | None = None
    head: Head | None = None
    double: bool = False

    @property
    def n_landmarks(self) -> int:
        """m."""
        return len(self.landmarks)

    @property
    def n_components(self) -> int:
        """k."""
        return self.readout.shape[1]

    @property
    def n_features(self) -> int:
        """d."""
        return self.landmarks.shape[1]

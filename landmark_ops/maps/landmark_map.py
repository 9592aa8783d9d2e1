"""`LandmarkMap`: the small fitted object every landmark method ends in; `parts.py` says what it computes.

Squared Euclidean, linear and cosine blocks are (quadratic and) linear in the row, so block and readout fold into
one (d, k) matrix, the collapse: x -> T(x) A + c costs O(d k) per row instead of O(m d). It is chosen automatically
and gives the same answer to rounding. How maps are evaluated is said in `evaluation.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from landmark_ops.errors import InputError
from landmark_ops.maps.evaluation import output_dtype, place_all, place_blocks
from landmark_ops.maps.folded import collapses
from landmark_ops.maps.parts import F64, MapParts, Placed
from landmark_ops.maps.state import parts_from_state, parts_state
from landmark_ops.maps.stored import Stored, stored
from landmark_ops.numerics.blocks import evaluate_block
from landmark_ops.numerics.distances import Array
from landmark_ops.numerics.ranges import narrow_rows


@dataclass(frozen=True, eq=False)
class LandmarkMap(MapParts):
    """A fitted map from rows (b, d) to coordinates (b, k). Immutable; serialised without pickle by `to_state`.

    Its attributes are those of `MapParts`.
    """

    def __call__(self, X: Array) -> Array:
        """Place rows X (b, d); (b, k) in the compute dtype of X (float32 for float16/32 and small integers).

        Coordinates that this dtype cannot hold are NaN, their row with them.
        """
        return narrow_rows(self.place(X).embedding, output_dtype(self, X.dtype))

    def place(self, X: Array) -> Placed:
        """Coordinates and residuals of rows X (b, d).

        Rows holding NaN or Inf get NaN in both (also under metrics and kernels that would hide them), and so do rows
        on which the block is undefined, such as zero rows under cosine, and those outside its domain; `undefined.py`
        names the cause. In float64 for float32 rows where float32 would not give the same answer.
        """
        return place_all([self], X)[0]

    def place_blocks(self, blocks: Array) -> Placed:
        """Coordinates and residuals of rows whose (b, m) blocks are at hand; not for maps with a self term."""
        return place_blocks(self, blocks)

    def outputs(self, placed: Placed) -> dict[str, Array]:
        """The head's outputs for placed rows, (b,) each: labels, prediction and std, classes; empty without a head."""
        return {} if self.head is None else self.head.read(placed.embedding, placed.residual)

    def stored(self, placed: Placed) -> Stored:
        """Placed rows as they are stored. Rows with a value that float32 cannot hold have no coordinates there."""
        return stored(self, placed)

    def block_of(self, X: Array) -> Array:
        """The (b, m) block itself: squared dissimilarities or kernel values against the landmarks, float64."""
        return evaluate_block(self.block, np.asarray(X, np.float64), np.asarray(self.landmarks, np.float64))

    def rotated(self, rotation: F64, shift: F64) -> LandmarkMap:
        """The map followed by y -> (y - shift) @ rotation, with rotation (k, k) orthogonal and shift (k,).

        |y|^2 in the residual refers to the unshifted coordinates, so the shift enters its formula:
        |y|^2 = |y'|^2 + 2 y'.s' + |s|^2 with s' = shift @ rotation.
        Raises InputError for maps with a row scale or unit rows, on which a shift has no meaning.
        """
        if self.scale is not None or self.unit_rows:
            if np.any(shift):
                raise InputError("a map whose rows are scaled can be rotated, not shifted: pass a shift of zeros")
            return replace(self, readout=self.readout @ rotation, offset=self.offset @ rotation)
        readout = self.readout @ rotation
        offset = (self.offset - shift) @ rotation
        turned = shift @ rotation
        weights, constant = self.residual_weights, self.residual_offset
        if weights is not None and self.spread is None:
            weights = weights - 2 * readout @ turned
            constant = constant - 2 * float(offset @ turned) - float(shift @ shift)
        return replace(self, readout=readout, offset=offset, residual_weights=weights, residual_offset=constant)

    @property
    def collapsed(self) -> bool:
        """Whether block and readout fold into one (d, k) matrix. A map to the block itself is not folded."""
        return collapses(self)

    def to_state(self) -> tuple[dict[str, Array], dict[str, Any]]:
        """Arrays and JSON-able parameters that `from_state` rebuilds the map from.

        Raises InputError for a map over a user's callable: code is not data, and is never stored.
        """
        return parts_state(self)

    @staticmethod
    def from_state(arrays: Mapping[str, Array], meta: Mapping[str, Any]) -> LandmarkMap:
        """Rebuild a map from `to_state`."""
        return LandmarkMap(**parts_from_state(arrays, meta))

"""`LandmarkMap`: the small fitted object every landmark method ends in.

    block    (b, m) = distances, kernel, geodesics or weights of a row block against the landmarks
    out      (b, k) = (block @ readout + offset) * (block @ scale.weights)^scale.power, rows to unit length if asked
    residual (b,)   = self_term k(x, x) + block @ residual_weights + residual_offset - |out|^2
                      or, with a spread, self_term k(x, x) + sign |block @ factor|^2: the variance of a Gaussian process
    outputs         = what the head reads off: labels, prediction and std, classes

Squared Euclidean, linear and cosine blocks are (quadratic and) linear in the row, so block and readout fold into
one (d, k) matrix, the collapse: x -> T(x) A + c costs O(d k) per row instead of O(m d). It is chosen automatically
and gives the same answer to rounding. How maps are evaluated is said in `evaluation.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike, NDArray

from landmark_ops.errors import InputError
from landmark_ops.maps.heads import Head, head_from_state
from landmark_ops.numerics.blocks import Block, block_from_state, block_state, collapse_transform, evaluate_block
from landmark_ops.numerics.distances import Array
from landmark_ops.numerics.ranges import narrow

F64 = NDArray[np.float64]


def narrow_rows(values: Array, dtype: DTypeLike) -> Array:
    """Coordinates (b, k) in another float dtype, NaN in the rows that it cannot hold."""
    out = narrow(values, dtype)
    if out is not values:
        lost = np.isnan(out).any(axis=1)
        out[lost] = np.nan
    return out


class Placed(NamedTuple):
    """Rows placed by a map: coordinates (b, k) and what they leave unexplained, residual (b,), NaN if undefined."""

    embedding: Array
    residual: Array


class Stored(NamedTuple):
    """Placed rows as an output holds them: coordinates (b, k) and residual (b,) float32, what the head reads off."""

    embedding: NDArray[np.float32]
    residual: NDArray[np.float32]
    outputs: dict[str, Array]


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
class LandmarkMap:
    """A fitted map from rows (b, d) to coordinates (b, k). Immutable; serialised without pickle by `to_state`.

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

    def __call__(self, X: Array) -> Array:
        """Place rows X (b, d); (b, k) in the compute dtype of X (float32 for float16/32 and small integers).

        Coordinates that this dtype cannot hold are NaN, their row with them.
        """
        from landmark_ops.maps.evaluation import output_dtype

        return narrow_rows(self.place(X).embedding, output_dtype(self, X.dtype))

    def place(self, X: Array) -> Placed:
        """Coordinates and residuals of rows X (b, d).

        Rows holding NaN or Inf get NaN in both (also under metrics and kernels that would hide them), and so do rows
        on which the block is undefined, such as zero rows under cosine, and those outside its domain; `undefined.py`
        names the cause. In float64 for float32 rows where float32 would not give the same answer.
        """
        from landmark_ops.maps.evaluation import place_all

        return place_all([self], X)[0]

    def place_blocks(self, blocks: Array) -> Placed:
        """Coordinates and residuals of rows whose (b, m) blocks are at hand; not for maps with a self term."""
        from landmark_ops.maps.evaluation import place_blocks

        return place_blocks(self, blocks)

    def outputs(self, placed: Placed) -> dict[str, Array]:
        """What the head reads off placed rows, (b,) each: labels, prediction and std, classes; empty without a head."""
        return {} if self.head is None else self.head.read(placed.embedding, placed.residual)

    def stored(self, placed: Placed) -> Stored:
        """Placed rows as they are stored. Those of which float32 cannot hold something have no coordinates there."""
        from landmark_ops.maps.single import narrow_residual

        embedding, residual = narrow_rows(placed.embedding, np.float32), narrow_residual(self, placed.residual)
        if self.head is None:
            return Stored(embedding, residual, {})
        read = self.head.read(placed.embedding, placed.residual)
        outputs = {
            name: narrow(read[name], dtype) if dtype == "float32" else read[name].astype(dtype)
            for name, dtype in self.head.arrays.items()
        }
        lost = np.isnan(embedding).any(axis=1)
        for values in outputs.values():
            lost |= np.isnan(values)
        if lost.any():
            embedding[lost], residual[lost] = np.nan, np.nan
            for name, nothing in self.head.undefined.items():
                outputs[name][lost] = nothing
        return Stored(embedding, residual, outputs)

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
        plain = self.scale is None and self.spread is None and not self.is_identity
        return plain and collapse_transform(self.block) is not None

    @cached_property
    def is_identity(self) -> bool:
        """Whether the outputs are the block itself, so that no product is needed."""
        m, k = self.readout.shape
        return m == k and not self.offset.any() and np.array_equal(self.readout, np.eye(m))

    @cached_property
    def prepared(self) -> dict[Any, Any]:
        """Evaluators by dtype, and what was found out by trying them, made when first needed; never pickled."""
        return {}

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in self.__dict__.items() if key not in ("prepared", "is_identity")}

    def to_state(self) -> tuple[dict[str, Array], dict[str, Any]]:
        """Arrays and JSON-able parameters that `from_state` rebuilds the map from.

        Raises InputError for a map over a user's callable: code is not data, and is never stored.
        """
        arrays: dict[str, Array] = {"landmarks": self.landmarks, "readout": self.readout, "offset": self.offset}
        meta: dict[str, Any] = {"residual_offset": self.residual_offset, "self_term": self.self_term}
        block_arrays, meta["block"] = block_state(self.block)
        arrays |= {f"block_{name}": value for name, value in block_arrays.items()}
        if self.residual_weights is not None:
            arrays["residual_weights"] = self.residual_weights
        if self.scale is not None:
            arrays["scale_weights"] = self.scale.weights
            meta["scale"] = {"power": self.scale.power, "floor": self.scale.floor}
        if self.spread is not None:
            arrays["spread_factor"] = self.spread.factor
            meta["spread"] = {"sign": self.spread.sign}
        if self.head is not None:
            head_arrays, parameters = self.head.to_state()
            arrays |= {f"head_{name}": value for name, value in head_arrays.items()}
            meta["head"] = {"kind": self.head.kind, **parameters}
        meta |= {"unit_rows": self.unit_rows, "double": self.double}
        return arrays, meta

    @staticmethod
    def from_state(arrays: Mapping[str, Array], meta: Mapping[str, Any]) -> LandmarkMap:
        """Rebuild a map from `to_state`."""

        def under(prefix: str) -> dict[str, Array]:
            return {key.removeprefix(prefix): value for key, value in arrays.items() if key.startswith(prefix)}

        head = None
        if "head" in meta:
            parameters = {key: value for key, value in meta["head"].items() if key != "kind"}
            head = head_from_state(meta["head"]["kind"], under("head_"), parameters)
        return LandmarkMap(
            arrays["landmarks"],
            block_from_state(under("block_"), meta["block"]),
            arrays["readout"],
            arrays["offset"],
            arrays.get("residual_weights"),
            float(meta["residual_offset"]),
            bool(meta["self_term"]),
            RowScale(arrays["scale_weights"], **meta["scale"]) if "scale" in meta else None,
            bool(meta["unit_rows"]),
            Spread(arrays["spread_factor"], **meta["spread"]) if "spread" in meta else None,
            head,
            bool(meta["double"]),
        )

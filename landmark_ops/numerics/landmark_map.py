"""`LandmarkMap`: the small fitted object every landmark method ends in, and its fast evaluation.

    block (b, m) = distances or kernel of a row block against the landmarks
    out   (b, k) = block @ readout + offset
    residual (b,) = self_term k(x, x) + block @ residual_weights + residual_offset - |out|^2

Squared Euclidean, linear and cosine blocks are (quadratic and) linear in the row, so block and readout fold into
one (d, k) matrix, the collapse: x -> T(x) A + c costs O(d k) per row instead of O(m d). It is chosen automatically
and gives the same answer to rounding. Everything else is evaluated in tiles of rows that stay in cache.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from landmark_ops.errors import InputError
from landmark_ops.numerics.distances import EUCLIDEAN_FAMILY, Array, Metric, sq_dists, transform_rows
from landmark_ops.numerics.kernels import Kernel, kernel_block, kernel_diagonal

F64 = NDArray[np.float64]

TILE_ROWS = 512  # x 1,000 landmarks x 4 bytes = 2 MB; 128 to 2,048 rows measured within 3 %
COLLAPSED_ROWS = 2048  # the same for folded maps, whose tiles hold no block
# Above this value of gamma |z|^2 the fused float32 exponent errs by more than 1e-4: blocks go to float64.
FUSED_LIMIT = 200.0

# Rows are centred before anything else only where |mean|^2 exceeds so many times their spread: rounding grows with it.
NEAR_ORIGIN = 4.0

Block = Metric | Kernel
Evaluate = Callable[[Array], Array]


class Placed(NamedTuple):
    """Rows placed by a map: coordinates (b, k) and what they leave unexplained, residual (b,)."""

    embedding: Array
    residual: Array


@dataclass(frozen=True, eq=False)
class LandmarkMap:
    """A fitted map from rows (b, d) to coordinates (b, k). Immutable; serialised without pickle by `to_state`.

    Attributes
    ----------
    landmarks
        (m, d), as selected.
    block
        The `Metric` (block of squared dissimilarities) or `Kernel` between rows and landmarks.
    readout, offset
        (m, k) and (k,), float64.
    residual_weights, residual_offset, self_term
        The residual formula above; for LMDS it is mean(d_x) - mean(D)/2 - |y|^2, for Nystrom k(x, x) - |f(x)|^2.
    """

    landmarks: Array
    block: Block
    readout: F64
    offset: F64
    residual_weights: F64
    residual_offset: float = 0.0
    self_term: bool = False

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
        """Place rows X (b, d); (b, k) in the compute dtype of X (float32 for float16/32 and small integers)."""
        return self.place(X).embedding

    def place(self, X: Array) -> Placed:
        """Coordinates and residuals of rows X (b, d).

        Rows holding NaN or Inf get NaN in both (also under metrics and kernels that would hide them), and so do rows
        on which the metric is undefined, such as zero rows under cosine.
        """
        if X.ndim != 2 or X.shape[1] != self.n_features:
            raise InputError(f"rows of shape {X.shape} do not fit this map: expected (b, {self.n_features})")
        dtype = compute_dtype(X.dtype)
        evaluate = self._evaluators(dtype)
        k = self.n_components
        step = COLLAPSED_ROWS if self.collapsed else TILE_ROWS
        out = np.empty((len(X), k + 1 + padding(k + 1)), dtype)
        ones = np.ones(max(self.n_features, out.shape[1]), dtype)
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            for start in range(0, len(X), step):
                tile = X[start : start + step].astype(dtype, copy=False)
                part = out[start : start + step]
                evaluate(tile, part)
                part[:, k] -= np.vecdot(part[:, :k], part[:, :k])
                # A NaN or Inf in a row makes its sum so. Products pass it on, kernels may hide it: exp(-Inf) = 0.
                if not self.collapsed and not self._nan_allowed and not np.isfinite(tile @ ones[: tile.shape[1]]).all():
                    part[~np.isfinite(tile).all(axis=1)] = np.nan
                undefined = ~np.isfinite(part @ ones[: part.shape[1]])
                if undefined.any():
                    part[undefined] = np.nan
        return Placed(out[:, :k], out[:, k])

    def block_of(self, X: Array) -> Array:
        """The (b, m) block itself: squared dissimilarities or kernel values against the landmarks, float64."""
        X = np.asarray(X, np.float64)
        Z = np.asarray(self.landmarks, np.float64)
        return sq_dists(X, Z, self.block) if isinstance(self.block, Metric) else kernel_block(X, Z, self.block)

    def rotated(self, rotation: F64, shift: F64) -> LandmarkMap:
        """The map followed by y -> (y - shift) @ rotation, with rotation (k, k) orthogonal and shift (k,).

        |y|^2 in the residual refers to the unshifted coordinates, so the shift enters its formula:
        |y|^2 = |y'|^2 + 2 y'.s' + |s|^2 with s' = shift @ rotation.
        """
        readout = self.readout @ rotation
        offset = (self.offset - shift) @ rotation
        turned = shift @ rotation
        return LandmarkMap(
            self.landmarks,
            self.block,
            readout,
            offset,
            self.residual_weights - 2 * readout @ turned,
            self.residual_offset - 2 * float(offset @ turned) - float(shift @ shift),
            self.self_term,
        )

    @property
    def collapsed(self) -> bool:
        """Whether block and readout fold into one (d, k) matrix."""
        return collapse_transform(self.block) is not None

    @property
    def _nan_allowed(self) -> bool:
        return self.block.name == "nan_euclidean"

    @cached_property
    def _cache(self) -> dict[Any, Callable[[Array, Array], None]]:
        return {}

    def _evaluators(self, dtype: np.dtype[Any]) -> Callable[[Array, Array], None]:
        if dtype not in self._cache:
            spare = padding(self.n_components + 1)
            weights = np.pad(np.column_stack([self.readout, self.residual_weights]), ((0, 0), (0, spare)))
            offset = np.pad(np.append(self.offset, self.residual_offset), (0, spare))
            make = _collapsed if self.collapsed else _blockwise
            self._cache[dtype] = make(self, weights, offset, dtype)
        return self._cache[dtype]

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in self.__dict__.items() if key != "_cache"}

    def to_state(self) -> tuple[dict[str, Array], dict[str, Any]]:
        """Arrays and JSON-able parameters that `from_state` rebuilds the map from.

        Raises InputError for a map over a user's callable: code is not data, and is never stored.
        """
        if self.block.fn is not None:
            raise InputError(
                "a map over a callable metric or kernel cannot be stored, code is not data: "
                "keep it in memory, or use a named metric or kernel"
            )
        arrays: dict[str, Array] = {
            "landmarks": self.landmarks,
            "readout": self.readout,
            "offset": self.offset,
            "residual_weights": self.residual_weights,
        }
        meta: dict[str, Any] = {"residual_offset": self.residual_offset, "self_term": self.self_term}
        if isinstance(self.block, Metric):
            meta["block"] = "sq_dists"
            meta["metric"] = self.block.name
            scalars = {key: value for key, value in self.block.params.items() if np.ndim(value) == 0}
            meta["metric_params"] = {key: float(value) for key, value in scalars.items()}
            for key in self.block.params.keys() - scalars.keys():
                arrays[f"metric_{key}"] = np.asarray(self.block.params[key], np.float64)
        else:
            meta["block"] = "kernel"
            meta["kernel"] = {
                "name": self.block.name,
                "gamma": self.block.gamma,
                "degree": self.block.degree,
                "coef0": self.block.coef0,
                "nu": self.block.nu,
            }
        return arrays, meta

    @staticmethod
    def from_state(arrays: Mapping[str, Array], meta: Mapping[str, Any]) -> LandmarkMap:
        """Rebuild a map from `to_state`."""
        if meta["block"] == "kernel":
            block: Block = Kernel(**meta["kernel"])
        else:
            given = {key.removeprefix("metric_"): value for key, value in arrays.items() if key.startswith("metric_")}
            block = Metric(meta["metric"], {**meta["metric_params"], **given})
        return LandmarkMap(
            arrays["landmarks"],
            block,
            arrays["readout"],
            arrays["offset"],
            arrays["residual_weights"],
            float(meta["residual_offset"]),
            bool(meta["self_term"]),
        )


def padding(columns: int) -> int:
    """Columns of zeros that bring a product to a multiple of 4 columns: BLAS runs 12 of them faster than 11."""
    return -columns % 4


def compute_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """float32 for float16, float32, bool and integers up to 16 bits (exact in float32), else float64."""
    small = dtype.itemsize <= 2 or (dtype.kind == "f" and dtype.itemsize == 4)
    return np.dtype(np.float32 if small else np.float64)


def collapse_transform(block: Block) -> str | None:
    """The row transform T under which the block is |T(x)|^2 plus linear in T(x), or None where it is not."""
    if isinstance(block, Metric):
        return EUCLIDEAN_FAMILY.get(block.name)
    return {"linear": "none", "cosine": "unit"}.get(block.name)


def _collapsed(fitted: LandmarkMap, weights: F64, offset: F64, dtype: np.dtype[Any]) -> Callable[[Array, Array], None]:
    """Fold block and readout: with z centred on their mean c, d(x, z) = |x-c|^2 - 2 (x-c).(z-c) + |z-c|^2.

    So block @ w = |x-c|^2 sum(w) + (x-c) @ (-2 Zc^T w) + |zc|^2 @ w. The readout of LMDS sums to zero in each
    column, only the residual column keeps the |x-c|^2 term. A dot-product block has neither norm term.
    """
    transform = collapse_transform(fitted.block)
    assert transform is not None
    Z = transform_rows(np.asarray(fitted.landmarks, np.float64), transform)
    k = fitted.n_components
    self_term = None
    center = np.zeros(Z.shape[1])
    if isinstance(fitted.block, Metric):
        center = Z.mean(axis=0)
        Zc = Z - center
        norm_weight = float(weights[:, k].sum())
        spread = np.einsum("ij,ij->i", Zc, Zc)
        matrix, constant = -2 * Zc.T @ weights, spread @ weights + offset
        if center @ center <= NEAR_ORIGIN * spread.mean():  # fold the centre too, and save a copy of every row
            matrix[:, k] -= 2 * norm_weight * center
            constant -= center @ matrix
            constant[k] -= norm_weight * float(center @ center)
            center = np.zeros(Z.shape[1])
    else:
        matrix, constant, norm_weight = Z.T @ weights, offset, 0.0
        self_term = fitted.block if fitted.self_term else None
    center_row, matrix, constant = center.astype(dtype), matrix.astype(dtype), constant.astype(dtype)
    centred = bool(np.any(center))

    def evaluate(X: Array, out: Array) -> None:
        rows = transform_rows(X, transform)
        if centred:
            rows = rows - center_row
        np.matmul(rows, matrix, out=out)
        out += constant
        if norm_weight:
            out[:, k] += dtype.type(norm_weight) * np.vecdot(rows, rows)
        if self_term is not None:
            out[:, k] += kernel_diagonal(X, self_term)

    return evaluate


def _blockwise(fitted: LandmarkMap, weights: F64, offset: F64, dtype: np.dtype[Any]) -> Callable[[Array, Array], None]:
    """Evaluate the (tile, m) block, then one product with [readout | residual weights]."""
    block = _block_evaluator(fitted, dtype)
    kernel = fitted.block if fitted.self_term and isinstance(fitted.block, Kernel) else None
    narrow = weights.astype(dtype)

    def evaluate(X: Array, out: Array) -> None:
        values = block(X)
        np.matmul(values, narrow if values.dtype == dtype else weights, out=out, casting="same_kind")
        out += offset.astype(dtype)
        if kernel is not None:
            out[:, fitted.n_components] += kernel_diagonal(X, kernel)

    return evaluate


def _block_evaluator(fitted: LandmarkMap, dtype: np.dtype[Any]) -> Evaluate:
    block = fitted.block
    Z = np.asarray(fitted.landmarks, np.float64)
    if isinstance(block, Metric):
        return lambda X: sq_dists(X, Z, block)
    if block.name == "rbf":
        centered = Z - Z.mean(axis=0)
        reach = block.gamma * float(np.einsum("ij,ij->i", centered, centered).max())
        return FusedRbf(Z, block.gamma, dtype if reach < FUSED_LIMIT else np.dtype(np.float64))
    same = Z.astype(dtype)
    return lambda X: kernel_block(X, same, block)


@dataclass(eq=False)
class FusedRbf:
    """RBF blocks with the whole exponent in one matrix product.

    -gamma |x - z|^2 = [x, |x|^2, 1] @ [2 gamma z; -gamma; -gamma |z|^2], rows centred on the landmark mean. The
    separate additions and the copy they need would cost a quarter of the time. Rounding may leave an exponent
    of +1e-6, a kernel value of 1 + 1e-6.
    """

    landmarks: F64
    gamma: float
    dtype: np.dtype[Any]
    center: Array = field(init=False)
    factor: Array = field(init=False)

    def __post_init__(self) -> None:
        center = self.landmarks.mean(axis=0)
        Z = self.landmarks - center
        rows = [2 * self.gamma * Z.T, np.full((1, len(Z)), -self.gamma)]
        rows.append(-self.gamma * np.einsum("ij,ij->i", Z, Z)[None, :])
        self.center = center.astype(self.dtype)
        self.factor = np.ascontiguousarray(np.vstack(rows).astype(self.dtype))

    def __call__(self, X: Array) -> Array:
        """The (b, m) kernel block."""
        d = X.shape[1]
        augmented = np.empty((len(X), d + 2), self.dtype)
        np.subtract(X, self.center, out=augmented[:, :d])
        np.vecdot(augmented[:, :d], augmented[:, :d], out=augmented[:, d])
        augmented[:, d + 1] = 1
        out = augmented @ self.factor
        return np.exp(out, out=out)

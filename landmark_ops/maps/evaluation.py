"""Fast evaluation of landmark maps: folded where the block is linear in the row, in cache-sized tiles elsewhere.

Several maps in one pass (`place_all`) share each tile's block where landmarks and block are the same. Narrow rows are
computed in float32 where that gives float64's answer (`precision.py`), and rows that come out undefined in float32 once
more in float64: their squares or powers may only have left its range.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from landmark_ops.errors import InputError
from landmark_ops.maps.columns import width
from landmark_ops.maps.evaluators import block_evaluator, reader
from landmark_ops.maps.folded import collapses, folded
from landmark_ops.maps.parts import MapParts, Placed
from landmark_ops.maps.precision import DOUBLE, SINGLE, single_suffices
from landmark_ops.maps.prepared import prepared
from landmark_ops.numerics.blocks import block_key, domain, takes_nan
from landmark_ops.numerics.distances import Array

TILE_ROWS = 512  # x 1,000 landmarks x 4 bytes = 2 MB; 128 to 2,048 rows measured within 3 %
COLLAPSED_ROWS = 2048  # the same for folded maps, whose tiles hold no block
LEAST_DEGREE = 1e-290


def compute_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """float32 for float16, float32, bool and integers up to 16 bits (exact in float32), else float64."""
    small = dtype.itemsize <= 2 or (dtype.kind == "f" and dtype.itemsize == 4)
    return np.dtype(np.float32 if small else np.float64)


def output_dtype(fitted: MapParts, dtype: np.dtype[Any]) -> np.dtype[Any]:
    """The dtype of a map's coordinates for rows of a stored dtype."""
    return DOUBLE if fitted.double else compute_dtype(dtype)


def working_dtype(fitted: MapParts, dtype: np.dtype[Any]) -> np.dtype[Any]:
    """The dtype in which a map computes rows of a stored dtype: float32 only where that gives float64's answer."""
    out = output_dtype(fitted, dtype)
    return out if out == DOUBLE or single_suffices(fitted) else DOUBLE


def place_all(maps: Sequence[MapParts], X: Array) -> list[Placed]:
    """Rows X (b, d) placed by several maps at once; see `LandmarkMap.place`.

    Raises InputError for rows of another width than the maps have.
    """
    for fitted in maps:
        if X.ndim != 2 or X.shape[1] != fitted.n_features:
            raise InputError(f"rows of shape {X.shape} do not fit this map: expected (b, {fitted.n_features})")
    placed: dict[int, Placed] = {}
    groups: dict[Any, list[int]] = {}
    for at, fitted in enumerate(maps):
        dtype = working_dtype(fitted, X.dtype)
        key = (at,) if collapses(fitted) else (id(fitted.landmarks), block_key(fitted.block), dtype)
        groups.setdefault((dtype, key), []).append(at)
    for (dtype, _), members in groups.items():
        group = [maps[at] for at in members]
        placed |= zip(members, _place_group(group, X, dtype), strict=True)
    return [placed[at] for at in range(len(maps))]


def _place_group(maps: list[MapParts], X: Array, dtype: np.dtype[Any]) -> list[Placed]:
    """Maps of one block, or one collapsed map."""
    first = maps[0]
    fill = prepared(first, folded, dtype) if collapses(first) else None
    step = TILE_ROWS if fill is None else COLLAPSED_ROWS
    if fill is None:
        block_of = prepared(first, block_evaluator, dtype)
        readers = [prepared(fitted, reader, dtype) for fitted in maps]
    outs = [np.empty((len(X), width(fitted)), dtype) for fitted in maps]
    ones = np.ones(max(first.n_features, *(out.shape[1] for out in outs)), dtype)
    hides_nan = fill is None and not takes_nan(first.block)
    asked = domain(first.block)
    undefined = np.zeros((len(maps), len(X)), bool)
    with np.errstate(over="ignore", under="ignore", invalid="ignore", divide="ignore"):
        for start in range(0, len(X), step):
            tile = X[start : start + step].astype(dtype, copy=False)
            parts = [out[start : start + step] for out in outs]
            if fill is not None:
                fill(tile, parts[0])
            else:
                values = block_of(tile)
                for read, part in zip(readers, parts, strict=True):
                    read(tile, values, part)
            # A NaN or Inf in a row makes its sum so. Products pass it on, kernels may hide it: exp(-Inf) = 0.
            bad = None
            if hides_nan and not np.isfinite(tile @ ones[: tile.shape[1]]).all():
                bad = ~np.isfinite(tile).all(axis=1)
            if asked is not None:
                outside = ~asked.within(tile)
                bad = outside if bad is None else bad | outside
            for fitted, part, flags in zip(maps, parts, undefined, strict=True):
                flags[start : start + step] = _settle(fitted, part, bad, ones)
        if dtype == SINGLE and undefined.any():
            finite = np.asarray(np.isfinite(X).all(axis=1))
            outs = [_again(*one, X, finite) for one in zip(maps, outs, undefined, strict=True)]
    return [Placed(out[:, : f.n_components], out[:, f.n_components]) for f, out in zip(maps, outs, strict=True)]


def _again(fitted: MapParts, out: Array, undefined: NDArray[np.bool_], X: Array, finite: NDArray[np.bool_]) -> Array:
    """`out` with the finite rows that float32 leaves undefined computed in float64, and in it if any come of that."""
    at = np.flatnonzero(undefined & finite)
    if len(at) == 0:
        return out
    embedding, residual = _place_group([fitted], X[at], DOUBLE)[0]
    defined = np.isfinite(embedding).all(axis=1)
    if not defined.any():
        return out
    k = fitted.n_components
    out = out[:, : k + 1].astype(np.float64)
    out[at, :k], out[at, k] = embedding, residual
    return out


def place_blocks(fitted: MapParts, blocks: Array) -> Placed:
    """Rows placed from their blocks (b, m), computed elsewhere.

    Raises InputError for a map whose residual is a function of the rows themselves.
    """
    if fitted.self_term:
        raise InputError("this map needs the rows themselves for its residual: place rows, not blocks")
    dtype = output_dtype(fitted, blocks.dtype)
    out = np.empty((len(blocks), width(fitted)), dtype)
    values = blocks.astype(dtype, copy=False)
    with np.errstate(over="ignore", under="ignore", invalid="ignore", divide="ignore"):
        prepared(fitted, reader, dtype)(values, values, out)
        _settle(fitted, out, None, np.ones(out.shape[1], dtype))
    return Placed(out[:, : fitted.n_components], out[:, fitted.n_components])


def degrees_of(values: Array, floor: float) -> Array:
    """Degrees (b,) to divide by: rows far from all landmarks have small ones, which float32 may not tell from 0.

    There they become NaN in float32, to be computed again in float64, and in float64 where its digits end as well.
    """
    low = values < floor
    if not low.any():
        return values
    if values.dtype == SINGLE:
        return np.where(low, values.dtype.type(np.nan), values)
    return np.where(values > LEAST_DEGREE, values, np.where(values > 0, np.nan, floor))


def _settle(fitted: MapParts, part: Array, bad: NDArray[np.bool_] | None, ones: Array) -> NDArray[np.bool_]:
    """Subtract |out|^2 from the residual, scale rows, set bad and undefined ones to NaN; in place.

    Returns which (b,) came out undefined.
    """
    k = fitted.n_components
    if bad is not None:
        part[bad] = np.nan
    if fitted.scale is not None:
        part[:, :k] *= (degrees_of(part[:, k + 1], fitted.scale.floor) ** fitted.scale.power)[:, None]
    if fitted.unit_rows:
        part[:, :k] /= np.sqrt(np.vecdot(part[:, :k], part[:, :k]))[:, None]
    if fitted.residual_weights is None and fitted.spread is None:
        part[:, k] = 0
    elif fitted.spread is None:
        part[:, k] -= np.vecdot(part[:, :k], part[:, :k])
    undefined = np.asarray(~np.isfinite(part[:, : k + 1] @ ones[: k + 1]))
    if undefined.any():
        part[undefined] = np.nan
    if fitted.residual_weights is None and fitted.spread is None:
        part[:, k] = np.nan
    return undefined

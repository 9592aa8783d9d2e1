"""Placed rows as outputs hold them: float32, with NaN for every row that has a value float32 cannot hold."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from landmark_ops.maps.evaluation import place_all
from landmark_ops.maps.parts import MapParts, Placed
from landmark_ops.maps.precision import sampled
from landmark_ops.maps.prepared import prepared
from landmark_ops.numerics.distances import Array
from landmark_ops.numerics.ranges import STORED, largest, narrow, narrow_rows


class Stored(NamedTuple):
    """Placed rows as an output holds them: coordinates (b, k) and residual (b,) float32, what the head reads off."""

    embedding: NDArray[np.float32]
    residual: NDArray[np.float32]
    outputs: dict[str, Array]


def stored(fitted: MapParts, placed: Placed) -> Stored:
    """Placed rows of a map; a row with a coordinate or output that float32 cannot hold loses all of them."""
    embedding, residual = narrow_rows(placed.embedding, np.float32), _narrow_residual(fitted, placed.residual)
    if fitted.head is None:
        return Stored(embedding, residual, {})
    read = fitted.head.read(placed.embedding, placed.residual)
    outputs = {
        name: narrow(read[name], dtype) if dtype == "float32" else read[name].astype(dtype)
        for name, dtype in fitted.head.arrays.items()
    }
    lost = np.isnan(embedding).any(axis=1)
    for values in outputs.values():
        lost |= np.isnan(values)
    if lost.any():
        embedding[lost], residual[lost] = np.nan, np.nan
        for name, nothing in fitted.head.undefined.items():
            outputs[name][lost] = nothing
    return Stored(embedding, residual, outputs)


def _narrow_residual(fitted: MapParts, residual: Array) -> NDArray[np.float32]:
    """Residuals (b,) as they are stored, NaN where float32 cannot hold them: in units of coordinates squared."""
    out = narrow(residual, np.float32)
    if residual.dtype == np.float64 and prepared(fitted, _reach) ** 2 < STORED[0]:
        out = np.full_like(out, np.nan)
    return np.asarray(out, np.float32)


def _reach(fitted: MapParts) -> float:
    """The largest magnitude of a coordinate of the landmarks that the map is tried on; float64."""
    return largest(place_all([fitted], np.asarray(sampled(fitted.landmarks), np.float64))[0].embedding)

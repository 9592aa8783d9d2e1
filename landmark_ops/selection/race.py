"""Draws without replacement by weight: an exponential race, in which only the first of coinciding rows counts."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from landmark_ops.numerics.distances import Array
from landmark_ops.selection.pivots import F64


def race(weights: F64, uniforms: F64) -> F64:
    """Keys E / w with E exponential, (b,): the j smallest are j rows drawn without replacement with weights w (b,).

    Efraimidis & Spirakis 2006. Inf, so never drawn, where w = 0.
    """
    with np.errstate(divide="ignore", over="ignore"):
        return np.where(weights > 0, -np.log1p(-uniforms) / weights, np.inf)


def first_of_equals(stored: Array, order: NDArray[np.int64], wanted: int) -> NDArray[np.int64]:
    """Positions in `order` of its first `wanted` rows of stored (b, d) that differ from all rows before them."""
    look = 2 * wanted
    while True:
        head = np.ascontiguousarray(stored[order[:look]])
        if head.dtype.kind == "f":
            head = head + head.dtype.type(0)  # -0.0 is 0.0
        as_bytes = (
            head.view(np.dtype((np.void, head.dtype.itemsize * head.shape[1])))[:, 0] if len(head) else head[:, 0]
        )
        first = np.sort(np.unique(as_bytes, return_index=True)[1])
        if len(first) >= wanted or look >= len(order):
            return first[:wanted]
        look *= 4

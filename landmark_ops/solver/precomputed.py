"""Rows that are blocks already: distances to the landmarks, or kernel values with them, computed elsewhere."""

from __future__ import annotations

import numpy as np

from landmark_ops.errors import InputError, Word
from landmark_ops.solver.method import F64


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

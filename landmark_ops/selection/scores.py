"""Ridge leverage scores tau_i = [K (K + lambda I)^-1]_ii, approximated from a weighted sample of rows.

With rows S kept with probabilities p, A = K_SS + lambda diag(p) and k_S(x) the kernel of x with S,
tau(x) = (k(x, x) - k_S(x)^T A^-1 k_S(x)) / lambda, clamped to [0, 1] (Musco & Musco 2017, Rudi et al. 2018). The
sum of all tau is the effective dimension of the ridge lambda.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cholesky, eigvalsh

from landmark_ops.engine.protocol import Engine
from landmark_ops.numerics.distances import Array
from landmark_ops.numerics.kernel import Kernel
from landmark_ops.passes.ranges import ranges
from landmark_ops.row_range import RowRange
from landmark_ops.selection.kernel_values import diagonal, gram, not_positive
from landmark_ops.selection.pivots import F64, Pivots
from landmark_ops.selection.residuals import residuals
from landmark_ops.selection.usable_rows import working_rows

LEAST_RIDGE = 1e-12  # relative to the largest eigenvalue: a kernel of low rank has no tail to take the ridge from
SCORE_ROWS = 1 << 12  # rows of a sample scored by one task


class Weighted(NamedTuple):
    """Rows kept at random: indices (s,) int64 global, stored (s, d), and the probability (s,) with which each was."""

    indices: NDArray[np.int64]
    stored: Array
    probability: F64


def oversampling(m: int) -> float:
    """How many times its score a row is kept with, log m: what both papers ask for, without their constants."""
    return max(1.0, float(np.log(m)))


def tail_rank(m: int) -> int:
    """The number of leading eigenvalues k = m / (4 log m) that m landmarks are to capture (Musco & Musco 2017)."""
    return max(1, int(np.ceil(m / (4 * oversampling(m)))))


class Ridge(NamedTuple):
    """A ridge, and the part of the trace that lies beyond the leading eigenvalues it was taken from."""

    value: float
    relative: float


def tail_ridge(kept: Weighted, kernel: Kernel, k: int) -> Ridge:
    """lambda = (sum of all but the k largest eigenvalues of K) / k, estimated from weighted rows.

    Its effective dimension is at most 2 k. The eigenvalues are those of the kernel matrix of the rows over
    sqrt(p_i p_j).
    """
    Z = working_rows(kept.stored, None).astype(np.float64)
    scale = 1 / np.sqrt(kept.probability)
    weighted = gram(Z, Z, kernel) * scale[:, None] * scale
    values = np.maximum(eigvalsh((weighted + weighted.T) / 2), 0.0)
    tail, trace = float(values[: max(len(values) - k, 0)].sum()), float(values.sum())
    ridge = max(tail / k, LEAST_RIDGE * float(values[-1]), float(np.finfo(float).tiny))
    return Ridge(ridge, tail / trace if trace > 0 else 0.0)


def ridge_pivots(kept: Weighted, ridge: float, kernel: Kernel) -> Pivots:
    """`kept` with the Cholesky factor of A: rows then have residuals lambda tau."""
    Z = working_rows(kept.stored, None).astype(np.float64)
    A = gram(Z, Z, kernel)
    # Rows kept twice or rarely leave A singular to rounding: half of float64's digits below the largest diagonal is
    # less than any score resolves.
    A[np.diag_indices(len(A))] += ridge * kept.probability + 1e-14 * len(A) * diagonal(Z, kernel).max(initial=0.0)
    try:
        L = cholesky((A + A.T) / 2, lower=True) if len(A) else A
    except np.linalg.LinAlgError as error:
        raise not_positive(kernel, f"an eigenvalue below 0 among {len(A)} of them") from error
    return Pivots(kept.indices, kept.stored, L)


def score_block(item: RowRange, stored: Array, pivots: Pivots, kernel: Kernel, ridge: float) -> F64:
    """Scores of some of the rows of a sample, (b,) in [0, 1]."""
    X = working_rows(stored[item[0] : item[1]], None)
    return np.minimum(residuals(X, pivots, kernel, "float64").left / ridge, 1.0)


def score(stored: Array, kept: Weighted, ridge: float, kernel: Kernel, engine: Engine) -> F64:
    """Scores of a sample of rows (b, d), (b,) in [0, 1], computed by all workers."""
    items = ranges(len(stored), SCORE_ROWS)
    pivots = ridge_pivots(kept, ridge, kernel)
    parts = dict(engine.imap(score_block, items, stored, pivots, kernel, ridge))
    return np.concatenate([parts[item] for item in items])


def inclusion(scores: F64, threshold: float) -> F64:
    """The probability (c,) of each row to come before `threshold` in a race with weights `scores`.

    With the key of the first row not taken as threshold, 1 / probability is an unbiased weight (Duffield, Lund &
    Thorup 2007).
    """
    return -np.expm1(-threshold * scores)


def keep(indices: NDArray[np.int64], stored: Array, probability: F64, uniforms: F64) -> Weighted:
    """The rows whose number is below their probability, capped at 1."""
    chosen = uniforms < probability
    return Weighted(indices[chosen], stored[chosen], np.minimum(probability[chosen], 1.0))

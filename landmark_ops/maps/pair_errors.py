"""Errors of an embedding on pairs of rows, estimated from all pairs among sampled rows.

The Frobenius norm of K - F F^T relative to that of K for Nystrom features, stress for a map of distances.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from landmark_ops.errors import InputError
from landmark_ops.maps.landmark_map import LandmarkMap
from landmark_ops.maps.trace_error import in_double
from landmark_ops.numerics.blocks import Block
from landmark_ops.numerics.distances import Array, sq_euclidean
from landmark_ops.numerics.kernel import Kernel, kernel_block
from landmark_ops.numerics.quality import Estimate
from landmark_ops.numerics.query_sums import original_distances

F64 = NDArray[np.float64]
PAIR_ROWS = 2000  # sampled rows of which all pairs are looked at: 32 MB of float64, half a second
CALLED_ROWS = 200  # the same where each pair is one call of a user's function


class FrobeniusError(NamedTuple):
    """||K - F F^T||_F / ||K||_F, estimated from all pairs among `sample` uniformly drawn rows, with its error."""

    value: float
    standard_error: float
    sample: int


def check_features(features: LandmarkMap) -> Kernel:
    """The kernel of Nystrom features; InputError for any other map."""
    kernel = features.block
    plain = features.scale is None and features.spread is None and not features.unit_rows and not features.offset.any()
    weights = features.residual_weights
    if not (isinstance(kernel, Kernel) and plain and features.self_term and weights is not None and not weights.any()):
        raise InputError(
            f"this map over {kernel.name} gives no Nystrom features, whose inner products approximate a kernel: pass "
            "the map that nystrom_features makes of the same landmarks"
        )
    return kernel


def pair_rows(block: Block) -> int:
    """How many sampled rows to look at all pairs of."""
    return CALLED_ROWS if block.fn is not None and not getattr(block, "blockwise", False) else PAIR_ROWS


def frobenius_error(features: LandmarkMap, X: Array, n: int) -> FrobeniusError:
    """||K - F F^T||_F / ||K||_F over all n rows, from rows X (S, d) drawn uniformly without replacement.

    Both squared norms are estimated without bias, see `pair_ratio`, and exactly where S = n. Rows without features are
    left out.
    """
    kernel = check_features(features)
    X = np.asarray(X, np.float64)
    F = in_double(features)(X)
    good = np.isfinite(F).all(axis=1)
    X, F = X[good], F[good]
    K = np.asarray(kernel_block(X, X, kernel), np.float64)
    value, error = pair_ratio((K - F @ F.T) ** 2, K**2, n)
    return FrobeniusError(value, error, len(X))


def stress(X: Array, embedding: Array, block: Block, n: int) -> Estimate:
    """Kruskal's stress-1 between all n rows, from rows X (S, d) drawn uniformly and placed at `embedding` (S, k).

    sqrt(sum (o - e)^2 / sum o^2) over pairs, o their distances, e those of their places; see `pair_ratio`.
    """
    Y = np.asarray(embedding, np.float64)
    o, e = original_distances(X, X, block), np.sqrt(sq_euclidean(Y, Y))
    np.fill_diagonal(o, 0.0)
    np.fill_diagonal(e, 0.0)
    return pair_ratio((o - e) ** 2, o**2, n)


def pair_ratio(above: F64, below: F64, n: int) -> Estimate:
    """sqrt(sum above / sum below) over all pairs among n rows, from the pairs (S, S) among S rows drawn uniformly.

    Sums are Horvitz-Thompson estimates: off the diagonal a pair stands for n(n-1) / S(S-1) of all, on it for n / S.
    The standard error is the jackknife over rows (pairs share rows and are not independent), with the correction
    1 - S/n for drawing without replacement: 0 where all rows are looked at. NaN below 3 rows.
    """
    S = len(above)
    if S == 0:
        return Estimate(float("nan"), float("nan"))

    def estimate(values: F64) -> tuple[F64, F64]:
        """The sum over all pairs, (1,), and the same without each row, (S,)."""
        own = np.diagonal(values)
        across = values.sum(axis=1) - own
        all_own, all_across = own.sum(keepdims=True), across.sum(keepdims=True)
        less = _raise(all_across - 2 * across, all_own - own, n, S - 1) if S > 1 else np.zeros(1)
        return _raise(all_across, all_own, n, S), less

    (a, a_less), (b, b_less) = estimate(above), estimate(below)
    with np.errstate(invalid="ignore", divide="ignore"):  # a sample of zeros has no ratio: NaN
        value = float(np.sqrt(a / b)[0])
        without = np.sqrt(np.maximum(a_less, 0) / b_less)  # differences may be -1e-16
        spread = float(np.sqrt((S - 1) / S * np.sum((without - without.mean()) ** 2)))
    return Estimate(value, spread * float(np.sqrt(max(1 - S / n, 0.0))) if S > 2 else float("nan"))


def _raise(across: F64, own: F64, n: int, S: int) -> F64:
    """From sums over sampled pairs to sums over all; NaN for a single row, which has no pairs."""
    pairs = n * (n - 1) / (S * (S - 1)) if S > 1 else 0.0
    return across * pairs + own * (n / S)
